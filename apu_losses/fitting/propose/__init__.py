"""Scenes from detections: files in, pairs of people who may touch, scenes out."""
