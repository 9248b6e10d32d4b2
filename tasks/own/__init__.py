"""Data of the user's own, without code: folders of images and recordings, tables of texts and of numbers."""
