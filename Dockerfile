# One image for webserver, daemon, code server and intake; compose.yaml says which is which. Pin the base by digest in
# your registry: a tag moves.
FROM python:3.12-slim-bookworm AS build
ENV UV_LINK_MODE=copy PIP_DISABLE_PIP_VERSION_CHECK=1
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir uv==0.13.9
COPY requirements-team.lock /tmp/requirements-team.lock
RUN /opt/venv/bin/uv pip install --no-cache --compile-bytecode --python /opt/venv/bin/python \
    --requirement /tmp/requirements-team.lock

FROM python:3.12-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RETAIL_HOME=/var/lib/retail \
    RETAIL_CONFIG=/etc/retail/retail.yaml \
    DAGSTER_HOME=/var/lib/retail/dagster \
    DO_NOT_TRACK=1
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/retail retail \
    && install --directory --owner=retail --group=retail --mode=0700 /var/lib/retail
COPY --from=build /opt/venv /opt/venv
WORKDIR /opt/retail
COPY pyproject.toml README.md LICENSE dagster.yaml workspace.yaml ./
COPY retail_assets ./retail_assets
COPY dbt_project ./dbt_project
COPY data ./data
# The project is used where it lies: its models and dagster.yaml are beside the package.
RUN /opt/venv/bin/uv pip install --no-cache --no-deps --python /opt/venv/bin/python --editable . \
    && python -m compileall -q retail_assets
USER retail
VOLUME /var/lib/retail
CMD ["retail", "--help"]
