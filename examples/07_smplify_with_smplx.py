"""Contact and penetration in a SMPLify-style loop on a body of the smplx package.

The loop is the usual one: two bodies, 2D joints, a prior, Adam. The lines that add our terms are numbered.
The model file is the free body, which smplx reads as it reads your `SMPLX_NEUTRAL.npz`; with that one, take
`RegionMap.from_contact_regions_json(...)` for the regions.

    python examples/07_smplify_with_smplx.py
"""

from __future__ import annotations

from importlib import resources

import smplx
import torch

import apu_contacts as ac  # 1
import apu_losses as al  # 2

FOCAL, WEIGHTS = 1000.0, {"joints": 1e-3, "pose": 0.5, "contact": 3e3, "penetration": 30.0}


def main(iterations: int = 100) -> tuple[float, float, float]:
    """Return the gap of hand and shoulder before and after, in cm, and the error of the 2D joints, in px."""
    model = resources.files("apu_losses.bodies") / "data" / "free_body.npz"
    body = smplx.SMPLX(str(model), batch_size=2, use_pca=False, flat_hand_mean=True)
    with torch.no_grad():
        body.global_orient[:, 0] = torch.pi  # upright in a camera frame, where +y is down
        body.transl[:] = torch.tensor([[-0.62, 0.3, 4.0], [0.62, 0.3, 4.2]])

    def project(joints: torch.Tensor) -> torch.Tensor:
        return FOCAL * joints[..., :2] / joints[..., 2:]

    seen = project(body().joints[:, :22]).detach()  # what a detector would say

    touching = ac.ContactMap.from_parts([ac.PartContact("hand", "left", "shoulder", "right")])  # 3
    contact = al.SoftContactLoss(ac.RegionMap.load("free"), over="parts")  # 4
    penetration = al.PenetrationLoss(body.faces_tensor, template=body.v_template)  # 5

    optimiser = torch.optim.Adam([body.body_pose, body.transl], lr=0.02)
    gaps = []
    for _ in range(iterations):
        out = body()
        a, b = out.vertices[:1], out.vertices[1:]
        terms = {
            "joints": (project(out.joints[:, :22]) - seen).square().sum(),
            "pose": body.body_pose.square().sum(),
            "contact": contact(a, b, touching).sum(),  # 6
            "penetration": penetration(a, b).sum(),  # 7
        }
        optimiser.zero_grad()
        sum(WEIGHTS[name] * value for name, value in terms.items()).backward()
        optimiser.step()
        gaps.append(100 * terms["contact"].item() ** 0.5)
    error = (project(out.joints[:, :22]) - seen).norm(dim=-1).mean().item()
    print(f"gap {gaps[0]:.1f} cm before, {gaps[-1]:.1f} cm after; joints {error:.1f} px off")
    return gaps[0], gaps[-1], error


if __name__ == "__main__":
    main()
