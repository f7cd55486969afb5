"""WHAM's sample format of Bleeding Edge: `.npz` files both ways."""
