"""Contact maps in a data loader with workers, and weights that a network learns for each contact.

Samples are dictionaries of tensors and contact maps, with any number of contacts and of keypoints each.
`collate_contacts` makes batches of them. The loss is taken apart into its contacts, so that it can be learned
which of them to trust: a kind of contact that the meshes keep contradicting loses its weight.

    python examples/16_train_with_a_data_loader.py
"""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader, Dataset

import apu_contacts as ac
import apu_losses as al

PARTS = ("shoulder", "back", "chest", "upper arm")
WRONG = "left foot - head"


class Pairs(Dataset[dict[str, object]]):
    """Two people each, of which some maps name a second contact, which is wrong."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, number: int) -> dict[str, object]:
        said = [ac.PartContact("hand", "left", PARTS[number % 4], "right")]
        wrong = [ac.PartContact("foot", "left", "head", "none")] * (number % 3 == 0)
        places = torch.tensor([[-0.25, 0.0, 0.0], [0.25, 0.0, 0.1 * (number % 4)]])
        seen = {"xy": torch.zeros(9 + number % 3, 2)}  # as many keypoints as were seen
        return {"touch": ac.ContactMap.from_parts(said + wrong), "transl": places, **seen}


def main(epochs: int = 3, workers: int = 2) -> tuple[float, float]:
    """Return how far contacts that are right are trusted in the end, and those that are wrong."""
    loader = DataLoader(Pairs(), batch_size=4, num_workers=workers, collate_fn=al.collate_contacts)
    body = al.load_body("free")
    contact = al.SoftContactLoss(ac.RegionMap.load("free"))
    kinds = {f"left hand - right {part}": number for number, part in enumerate(PARTS)} | {WRONG: len(PARTS)}
    belief = torch.zeros(len(kinds), requires_grad=True)  # a network of yours would look at the picture
    optimiser = torch.optim.Adam([belief], lr=0.5)
    for _ in range(epochs):
        for batch in loader:
            vertices = body(transl=batch["transl"].flatten(0, 1)).vertices().unflatten(0, (-1, 2))
            found = contact.values(vertices[:, 0], vertices[:, 1], batch["touch"])
            chosen = [kinds[group.name] for touch in batch["touch"] for group in touch.groups()]
            trust = torch.sigmoid(belief[chosen])
            # a contact that costs more than 0.5 square metres is cheaper to doubt
            loss = found.per_pair(found.weight * trust).mean() + 0.5 * (1 - trust).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    trusted = torch.sigmoid(belief.detach())
    print(f"trust in right contacts {trusted[:-1].mean():.2f}, in those that are wrong {trusted[-1]:.2f}")
    return trusted[:-1].mean().item(), trusted[-1].item()


if __name__ == "__main__":
    main()
