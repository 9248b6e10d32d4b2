"""Upload of an exported folder to the Hugging Face hub; done only when it is asked for."""

from __future__ import annotations

from pathlib import Path

from bench.contract import InputError
from bench.ledger import paths


def push(folder: Path, name: str) -> str:
    """Upload a folder as a model of the hub, created if it is new, and return its address.

    Raises:
        InputError: the hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        address = api.create_repo(name, exist_ok=True)
        ledger = f"{paths.training(folder).name}/**"
        api.upload_folder(repo_id=address.repo_id, folder_path=folder, ignore_patterns=[ledger])
    except Exception as error:  # of the network, of the account, of the name
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"--push {name}: {reason}; {folder} is complete and can be pushed later") from None
    return str(address)
