"""A model small enough to be made anew in every test."""

from vidcolor.network.card import Card

TINY = Card(
    name="tiny",
    family="temporal-unet",
    network={"base_channels": 8, "norm": "batch"},
    output="chroma",
    grey="bt601",
    working_size=64,
)
