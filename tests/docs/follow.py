"""Run inside a copy of the checkout: load what was dropped for some gateways, then show the union model's lines.

Usage: python follow.py GATEWAY_ID… (RETAIL_HOME and RETAIL_CONFIG as usual). Prints JSON.
"""

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import duckdb
from dbt.cli.main import dbtRunner

from retail_assets.catalogue import dbt_sources, sources_path, systems
from retail_assets.defs.ingest.instances import source_instances
from retail_assets.ops.store import open_store
from retail_assets.settings import load_settings
from retail_assets.sources.ops import ops_source
from retail_assets.sources.warehouse import create_raw_tables, load, pipeline_for

MODELS: Final = ("int_settlement_lines_unioned", "int_payouts_unioned")


def main() -> None:
    settings = load_settings()
    wanted = sys.argv[1:]
    create_raw_tables(settings.warehouse_path)
    for instance in source_instances(settings):
        if instance.instance in wanted:
            with closing(instance.intake(settings)) as intake:
                pipeline = pipeline_for(
                    instance.system, instance.instance, warehouse=settings.warehouse_path, state=settings.dlt_path
                )
                load(instance.build(intake), pipeline)
                intake.log()
    # Of what is known about ourselves the lines need the exponents of currencies.
    source = ops_source(settings, open_store(settings.operations_url)).with_resources("currency_exponents")
    load(source, pipeline_for("ops", "ops", warehouse=settings.warehouse_path, state=settings.dlt_path))
    for system in systems():
        sources_path(system).parent.mkdir(exist_ok=True)
        sources_path(system).write_text(dbt_sources(system), encoding="utf-8")
    project = str(Path("dbt_project").resolve())
    places = ["--project-dir", project, "--profiles-dir", project, "--target-path", str(settings.home / "dbt")]
    select = ["--resource-type", "model", "--resource-type", "seed", "--select", *(f"+{model}" for model in MODELS)]
    built = dbtRunner().invoke(["--no-use-colors", "--quiet", "build", *places, *select])
    if not built.success:
        sys.exit(f"dbt failed: {built.exception or built.result}")
    with duckdb.connect(str(settings.warehouse_path)) as connection:
        lines = connection.execute(
            "select gateway_id, line_id, line_type, source_id, currency_code, cast(net_amount as varchar) "
            "from intermediate.int_settlement_lines_unioned order by all"
        ).fetchall()
        payouts = connection.execute(
            "select settlement_key, cast(payout_amount as varchar), cast(arrival_date as varchar) "
            "from intermediate.int_payouts_unioned order by all"
        ).fetchall()
    sys.stdout.write(json.dumps({"lines": lines, "payouts": payouts}))


if __name__ == "__main__":
    main()
