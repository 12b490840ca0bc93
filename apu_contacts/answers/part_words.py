"""Names of body parts as people, data sets and models write them, and the parts that they are taken for.

Data only. A name that the paper's 17 parts do not have goes to the part that contains it; one that lies
across
a border goes to each of the parts, the likeliest first. All names are in lower case, with single spaces.
"""

from __future__ import annotations

ENGLISH: dict[tuple[str, ...], str] = {
    ("hand",): """hand, hands, palm, palms, finger, fingers, fingertip, fingertips, thumb, thumbs, knuckle,
        knuckles,
        fist, fists, index finger, middle finger, ring finger, little finger, pinky, pinkie, heel of hand,
        back of hand, dorsum of hand, palm of hand, side of hand, hand index, index, finger tips,
        pointer finger""",
    ("arm",): "arm, arms, whole arm, entire arm, upper limb, upper limbs, upper extremity, outer arm, "
              "sleeve, sleeves",
    ("leg",): """leg, legs, lower leg, lower legs, lower limb, lower limbs, whole leg, shin, shins, calf,
        calves, ankle,
        ankles, calf muscle, shinbone, lower extremity, ankle joint""",
    ("thigh",): """thigh, thighs, upper leg, upper legs, up leg, hamstring, hamstrings, quad, quads,
        quadriceps, lap,
        upper thigh, thigh bone""",
    ("chest",): """chest, chests, breast, breasts, breastbone, sternum, bosom, bust, pec, pecs, pectoral,
        pectorals,
        rib, ribs, ribcage, rib cage, upper torso, thorax""",
    ("stomach",): """stomach, stomachs, belly, abdomen, tummy, navel, midriff, abs, belly button,
        lower torso, abdominals,
        abdominal region""",
    ("back",): """back, backs, spine, lower back, upper back, mid back, middle back, small of back,
        shoulder blade,
        shoulder blades, scapula, scapulae, lumbar, lumbar region, torso back, back of torso, lats,
        backbone""",
    ("neck",): "neck, necks, nape, nape of neck, throat, back of neck, side of neck",
    ("face",): """face, faces, cheek, cheeks, chin, mouth, lip, lips, nose, forehead, eye, eyes, eyebrow,
        eyebrows,
        brow, jaw, jawline, beard, cheekbone, cheekbones, eye smplhf""",
    ("head",): """head, heads, hair, scalp, skull, crown, ear, ears, temple, temples, back of head,
        top of head,
        side of head, hat, cap, ponytail, earlobe, hairline, head top, headtop""",
    ("foot",): """foot, feet, toe, toes, heel, heels, sole, soles, instep, shoe, shoes, boot, boots,
        ball of foot, toe base,
        big toe, small toe, little toe, toe end, arch of foot, foot index""",
    ("shoulder",): """shoulder, shoulders, deltoid, deltoids, collarbone, collarbones, clavicle, clavicles,
        collar,
        shoulder joint, top of shoulder""",
    ("elbow",): "elbow, elbows, crook of elbow, elbow crook, inside of elbow, crook of arm, elbow joint",
    ("knee",): "knee, knees, kneecap, kneecaps, back of knee, knee joint",
    ("forearm",): "forearm, forearms, fore arm, fore arms, lower arm, lower arms",
    ("upper arm",): """upper arm, upper arms, upperarm, upperarms, bicep, biceps, tricep, triceps, armpit,
        armpits,
        underarm, underarms""",
    ("waist",): """waist, waists, waistline, hip, hips, pelvis, groin, crotch, buttock, buttocks, butt,
        butts, bottom,
        rear, glute, glutes, flank, flanks, mid hip, midhip, hip joint, hip bone, hipbone, bum, backside,
        posterior,
        tailbone, rear end, behind, sacrum, root""",
    ("hand", "forearm"): "wrist, wrists, wrist joint",
    ("chest", "stomach"): """front torso, front of torso, front of body, midsection, torso front, front body,
        front of the body, torso front side""",
    ("chest", "stomach", "back"): "torso, torsos, trunk, trunks, upper body, torso side, side of torso, "
                                  "side of body",
    ("shoulder", "neck"): "trap, traps, trapezius",
    ("waist", "thigh", "leg"): "lower body",
}  # fmt: skip
"""English, SMPL's joints and segments, DensePose's parts and COCO's keypoints (camel case is cut before)."""

GERMAN: dict[tuple[str, ...], str] = {
    ("hand",): "hände, handfläche, handflächen, handrücken, daumen, faust, fingerspitze, fingerspitzen",
    ("arm",): "arme",
    ("leg",): "bein, beine, unterschenkel, schienbein, wade, waden, knöchel, fußgelenk",
    ("thigh",): "oberschenkel, schoß",
    ("chest",): "brust, brustkorb, rippen, brustbein",
    ("stomach",): "bauch, magen, unterleib",
    ("back",): "rücken, unterer rücken, oberer rücken, wirbelsäule, schulterblatt",
    ("neck",): "hals, nacken, genick",
    ("face",): "gesicht, wange, wangen, kinn, mund, lippen, stirn, auge, augen, nase",
    ("head",): "kopf, haar, haare, ohr, ohren, hinterkopf, schläfe",
    ("foot",): "fuß, füße, fuss, füsse, zeh, zehen, ferse, fußsohle",
    ("shoulder",): "schulter, schultern, schlüsselbein",
    ("elbow",): "ellbogen, ellenbogen, armbeuge",
    ("knee",): "knie, kniescheibe",
    ("forearm",): "unterarm, unterarme",
    ("upper arm",): "oberarm, oberarme, bizeps, trizeps, achsel",
    ("waist",): "taille, hüfte, hüften, becken, gesäß, po, leiste",
    ("hand", "forearm"): "handgelenk, handgelenke",
    ("chest", "stomach", "back"): "rumpf, oberkörper",
}

SPANISH: dict[tuple[str, ...], str] = {
    ("hand",): "mano, manos, palma, palmas, dedo, dedos, puño, pulgar",
    ("arm",): "brazo, brazos",
    ("leg",): "pierna, piernas, pantorrilla, espinilla, tobillo, tobillos",
    ("thigh",): "muslo, muslos, regazo",
    ("chest",): "pecho, pechos, tórax, costillas",
    ("stomach",): "estómago, abdomen, vientre, barriga, ombligo",
    ("back",): "espalda, espaldas, columna, omóplato",
    ("neck",): "cuello, nuca, garganta",
    ("face",): "cara, rostro, mejilla, mejillas, barbilla, boca, labios, frente, ojo, ojos, nariz, mentón",
    ("head",): "cabeza, pelo, cabello, oreja, orejas, sien",
    ("foot",): "pie, pies, talón, dedos del pie",
    ("shoulder",): "hombro, hombros, clavícula",
    ("elbow",): "codo, codos",
    ("knee",): "rodilla, rodillas",
    ("forearm",): "antebrazo, antebrazos",
    ("upper arm",): "brazo superior, bíceps, axila",
    ("waist",): "cintura, cadera, caderas, pelvis, nalga, nalgas, glúteos",
    ("hand", "forearm"): "muñeca, muñecas",
    ("chest", "stomach", "back"): "torso, tronco",
}

FRENCH: dict[tuple[str, ...], str] = {
    ("hand",): "main, mains, paume, paumes, doigt, doigts, poing, pouce",
    ("arm",): "bras",
    ("leg",): "jambe, jambes, mollet, tibia, cheville, chevilles",
    ("thigh",): "cuisse, cuisses",
    ("chest",): "poitrine, torse supérieur, côtes, sternum",
    ("stomach",): "ventre, estomac, abdomen, nombril",
    ("back",): "dos, bas du dos, haut du dos, colonne, omoplate",
    ("neck",): "cou, nuque, gorge",
    ("face",): "visage, joue, joues, menton, bouche, lèvres, front, œil, yeux, nez",
    ("head",): "tête, cheveux, oreille, oreilles, crâne, tempe",
    ("foot",): "pied, pieds, talon, orteil, orteils",
    ("shoulder",): "épaule, épaules, clavicule",
    ("elbow",): "coude, coudes",
    ("knee",): "genou, genoux",
    ("forearm",): "avant-bras, avant bras",
    ("upper arm",): "haut du bras, biceps, aisselle, bras supérieur",
    ("waist",): "taille, hanche, hanches, bassin, fesse, fesses",
    ("hand", "forearm"): "poignet, poignets",
    ("chest", "stomach", "back"): "torse, tronc",
}

CHINESE: dict[tuple[str, ...], str] = {
    ("hand",): "手, 手掌, 手指, 手部, 拳头, 拇指, 手心, 手背, 指尖",
    ("arm",): "手臂, 胳膊, 臂",
    ("leg",): "腿, 小腿, 腿部, 脚踝, 踝",
    ("thigh",): "大腿",
    ("chest",): "胸, 胸部, 胸口, 胸膛",
    ("stomach",): "腹部, 肚子, 腹, 肚脐, 胃部",
    ("back",): "背, 背部, 后背, 背后, 腰背, 脊背, 上背部, 下背部, 背中",
    ("neck",): "脖子, 颈部, 颈, 后颈, 颈后",
    ("face",): "脸, 面部, 脸部, 脸颊, 下巴, 嘴, 嘴唇, 额头, 鼻子, 眼睛",
    ("head",): "头, 头部, 头发, 耳朵, 后脑",
    ("foot",): "脚, 足, 脚部, 脚趾, 脚跟",
    ("shoulder",): "肩, 肩膀, 肩部",
    ("elbow",): "肘, 手肘, 肘部, 胳膊肘",
    ("knee",): "膝, 膝盖, 膝部",
    ("forearm",): "前臂, 小臂",
    ("upper arm",): "上臂, 大臂, 腋下",
    ("waist",): "腰, 腰部, 臀部, 臀, 髋部, 髋, 屁股, 胯部",
    ("hand", "forearm"): "手腕, 腕",
    ("chest", "stomach", "back"): "躯干, 上身, 上半身",
}

ALL = (ENGLISH, GERMAN, SPANISH, FRENCH, CHINESE)

PAIRED_PLURALS = frozenset(
    [
        "hands",
        "palms",
        "arms",
        "forearms",
        "elbows",
        "shoulders",
        "legs",
        "thighs",
        "knees",
        "feet",
        "shins",
        "calves",
        "ankles",
        "wrists",
        "fists",
        "hände",
        "arme",
        "beine",
        "unterarme",
        "oberarme",
        "füße",
        "füsse",
        "schultern",
        "manos",
        "brazos",
        "piernas",
        "muslos",
        "hombros",
        "codos",
        "rodillas",
        "antebrazos",
        "pies",
        "mains",
        "jambes",
        "cuisses",
        "épaules",
        "coudes",
        "genoux",
        "pieds",
    ]
) | {"upper arms", "lower arms", "lower legs", "upper legs", "fore arms"}
"""Plurals that mean one on each side. "fingers" or "hips" say nothing about sides."""

SURFACES = ("inner", "outer", "front", "back", "inside", "outside", "medial", "lateral")
"""Which face of a limb; DensePose puts them last ("upper arm left inner")."""

LIMBS = ("upper leg", "lower leg", "upper arm", "lower arm", "thigh", "forearm", "calf")

_SIDES = {
    "left": """left, l, lt, left side, left hand side, left-side, linke, linker, linkes, linken, linkem,
        links, izquierda, izquierdo,
        izq, gauche, 左, 左侧, 左边, 左側, 左邊""",
    "right": """right, r, rt, right side, right hand side, right-side, rechte, rechter, rechtes, rechten,
        rechtem, rechts,
        derecha, derecho, der., droite, droit, 右, 右侧, 右边, 右側, 右邊""",
    "both": """both, both sides, both hands, both arms, both feet, both legs, two, bilateral, each,
        left and right, right and left, each side, beide, beiden, beidseitig,
        ambos, ambas, ambos lados, les deux, deux, 双, 雙, 两, 兩, 双侧, 两侧, 左右, 两边, 双边""",
    "none": """none, n/a, na, n.a., unknown, unclear, unspecified, uncertain, not specified, any, either,
        either side,
        left or right, right or left, left/right, right/left, not visible, not applicable, center, centre,
        middle, central,
        midline, null, -, ?, cannot tell, not clear, not known, undetermined, indeterminate,
        cannot be determined, not determinable,
        not sure, ambiguous, cannot be told, not stated, not given, keine,
        unbekannt, unklar, mitte,
        ninguno, ninguna, desconocido, centro, aucun, aucune, inconnu, centre,
        无, 無, 未知, 不明, 不确定, 中间, 中央,
        front, rear, back,
        inner, outer, medial, lateral""",
}  # fmt: skip

SIDE_WORDS: dict[str, str] = {
    " ".join(word.split()): side
    for side, words in _SIDES.items()
    for word in words.split(",")
    if word.strip()
}
"""Words for sides; faces of a part ("inner", "front") say nothing about left and right."""


def phrases() -> dict[str, tuple[str, ...]]:
    """Phrase -> the parts that it may mean. What two languages share goes to the first of `ALL`."""
    found: dict[str, tuple[str, ...]] = {}
    for names in ALL:
        for parts, words in names.items():
            for phrase in words.split(","):
                found.setdefault(" ".join(phrase.replace("-", " ").split()), parts)
    for limb in LIMBS:
        for surface in SURFACES:
            found.setdefault(f"{limb} {surface}", found[limb])
    return found
