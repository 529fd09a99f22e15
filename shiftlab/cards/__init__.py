"""Data cards: `card.yaml` written by hand; README, Croissant and numbers generated from it and from the data."""

from shiftlab.cards.building import Finding, build, check, folder_of, list_cards
from shiftlab.cards.card import Card, read

__all__ = ["Card", "Finding", "build", "check", "folder_of", "list_cards", "read"]
