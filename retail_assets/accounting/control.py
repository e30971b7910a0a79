"""What an entity's plan is measured by: its limits, its rules as one hash, and what was approved."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine

from retail_assets.accounting.plan import Control
from retail_assets.ops import approvals
from retail_assets.ops.canonical import canonical_json, sha256_hex
from retail_assets.settings import Settings

#: The CSV files by which finance decides what is posted where.
FINANCE_SEEDS: Final = ("account_mapping", "cost_centres", "exception_types", "line_treatments", "product_classes")

_MODEL_SUFFIXES: Final = (".sql", ".yml", ".csv")


def control_for(settings: Settings, operations: Engine, entity_code: str) -> Control:
    """The limits of an entity and the decisions about it.

    Rules that were approved once stay under approval: who may edit ``retail.yaml`` could switch it off there otherwise.
    """
    policy = settings.configuration.policy(entity_code)
    decided = approvals.decisions(operations, entity_code)
    guarded = policy.policy_approval or any(
        each.kind == "policy" and each.decision == "approved" for each in decided.values()
    )
    return Control(
        approval_limit=policy.approval_limit,
        write_off_limit=policy.write_off_limit,
        rules_hash=rules_hash(settings, entity_code) if guarded else None,
        decisions=decided,
    )


def rules_hash(settings: Settings, entity_code: str) -> str:
    """SHA-256 over the entity's policy, as it holds for it, and finance's CSV files."""
    return sha256_hex(canonical_json([policy_hash(settings, entity_code), seed_hashes(settings)]))


def policy_hash(settings: Settings, entity_code: str) -> str:
    """SHA-256 over the entity's policy, defaults included."""
    policy: dict[str, Any] = settings.configuration.policy(entity_code).model_dump(mode="json")
    return sha256_hex(canonical_json([entity_code, policy]))


def seed_hashes(settings: Settings) -> dict[str, str]:
    """SHA-256 of each of finance's CSV files."""
    folder = settings.dbt_project_path / "seeds"
    return {name: hashlib.sha256((folder / f"{name}.csv").read_bytes()).hexdigest() for name in FINANCE_SEEDS}


def models_hash(settings: Settings) -> str:
    """SHA-256 over every file that decides what the models make of the raw records."""
    digest = hashlib.sha256()
    for path in _model_files(settings.dbt_project_path):
        name = path.relative_to(settings.dbt_project_path).as_posix()
        digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _model_files(project: Path) -> Iterator[Path]:
    yield project / "dbt_project.yml"
    for folder in ("macros", "models", "seeds"):
        yield from sorted(path for path in (project / folder).rglob("*") if path.suffix in _MODEL_SUFFIXES)
