"""Samples with contact maps, where a started process of a data loader can import them."""

from __future__ import annotations

from torch.utils.data import Dataset

from apu_contacts import ContactMap, PartContact

MAPS = [
    ContactMap([(3, 50)]),
    ContactMap.empty(),
    ContactMap.from_parts([PartContact("hand", "left", "back", "none")]),
]


class Maps(Dataset):
    def __len__(self):
        return len(MAPS)

    def __getitem__(self, number):
        return {"touch": MAPS[number], "number": number}
