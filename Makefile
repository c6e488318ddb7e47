# The few commands that a person needs. Each says what it lacks; on Debian it installs that itself.
#
#   make demo                    four local shards with the trading schema, a proxy, a workload (ARGS="--duration 60s")
#   make test                    what CI runs: format, lints, every test (ARGS="-E 'test(limits)'")
#   make check                   its quick part, without servers
#   make release                 the build to deploy, in target/pgo/bin: compiled by a profile of its own work
#   make bench                   its CPU per statement beside PgBouncer (ARGS=…)
#   make fmt                     format the code
#   make update-golden           rewrite golden files; read the diff
#   make update-refusals         write today's refusals into the differential scripts; read the diff

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo
ARGS ?=
POSTGRES_VERSION ?= 15
RUST_MINOR_MIN := 89
# Two tests more than there are CPUs: so many wait for minutes at a time (`.config/nextest.toml`).
TEST_THREADS := $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 2 )))
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo)
PGO := $(CURDIR)/target/pgo
# Lazy: only `make release` asks.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
PROFDATA = $(shell ls "$$(rustc --print sysroot)/lib/rustlib/$(HOST)/bin/llvm-profdata" 2>/dev/null || command -v llvm-profdata-$(LLVM_VERSION))
LLVM_VERSION ?= 19
COMPILED := Cargo.toml Cargo.lock benches/train $(shell find src -type f)

.PHONY: help demo test check release bench fmt update-golden update-refusals rust postgres promtool python pgbouncer nextest profdata python3

help:
	@sed -n '3,11p' Makefile | sed 's/^# *//'

demo: rust postgres
	$(CARGO) build --locked --release --bins
	target/release/shardctl demo $(ARGS)

test: rust postgres promtool python nextest
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	NEXTEST_TEST_THREADS=$(TEST_THREADS) $(CARGO) nextest run --locked $(ARGS)

check: rust promtool nextest
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) nextest run --locked -E 'not binary(e2e) and not binary(shardctl)' $(ARGS)

# Three steps: an instrumented build, work for it to do (benches/train), and the build that has read the profile of that.
# Naming the target keeps the flags away from build scripts and macros. A quarter of an hour on two cores: not for `make demo`.
release: $(PGO)/bin/shardgate

# A profile holds for one compiler.
$(PGO)/rustc: rust
	@mkdir -p $(PGO) && { rustc -vV | cmp -s - $@ || rustc -vV >$@; }

$(PGO)/shardgate.profdata: $(COMPILED) $(PGO)/rustc | postgres profdata python3
	rm -rf $(PGO)/raw $(PGO)/optimised
	RUSTFLAGS="-Cprofile-generate=$(PGO)/raw" \
	  $(CARGO) build --locked --release --bins --target $(HOST) --target-dir $(PGO)/instrumented
	benches/train --bin $(PGO)/instrumented/$(HOST)/release
	$(PROFDATA) merge --sparse -o $@ $(PGO)/raw/*.profraw \
	  || { echo "That llvm-profdata doesn't fit this rustc; \`rustup component add llvm-tools\` fetches the one that does." >&2; exit 1; }

$(PGO)/bin/shardgate: $(PGO)/shardgate.profdata
	RUSTFLAGS="-Cprofile-use=$<" $(CARGO) build --locked --release --bins --target $(HOST) --target-dir $(PGO)/optimised
	install -D -t $(PGO)/bin $(PGO)/optimised/$(HOST)/release/shardgate $(PGO)/optimised/$(HOST)/release/shardctl

bench: release pgbouncer
	benches/run $(ARGS)

fmt: rust
	$(CARGO) fmt

update-golden: rust nextest
	UPDATE_GOLDEN=1 $(CARGO) nextest run --locked -E 'not binary(e2e)'
	git --no-pager diff --stat

update-refusals: rust postgres nextest
	UPDATE_REFUSALS=1 $(CARGO) nextest run --locked -E 'binary(e2e) and test(differential::) and test(proxy)' $(ARGS)
	git --no-pager diff --stat tests/differential

# --- what must be there -----------------------------------------------------------------------------------------------

rust:
	@version=$$($(CARGO) --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\)\..*/\1/p'); \
	if [ "$${version:-0}" -lt $(RUST_MINOR_MIN) ]; then \
	  echo "Shardgate needs Rust 1.$(RUST_MINOR_MIN) or newer; found: $$($(CARGO) --version 2>/dev/null || echo none)." >&2; \
	  echo "Install it with: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" >&2; exit 1; \
	fi
	@command -v cc >/dev/null || { $(call install,build-essential); }

# Debian's package has the checker of metrics; the server that comes with it isn't wanted.
promtool:
	@[ -n "$${PROMTOOL:-}" ] || command -v promtool >/dev/null || { $(call install,prometheus); }

# SQLAlchemy, Django, psycopg 3 and asyncpg, for the tests of ORMs and drivers; in an environment of its own, so that nothing else changes.
python:
	@target/python/bin/python -c 'import sqlalchemy, psycopg2, django, psycopg, asyncpg' 2>/dev/null || { \
	  command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null || { $(call install,python3 python3-venv); }; \
	  python3 -m venv target/python && \
	  target/python/bin/pip install --quiet --disable-pip-version-check 'sqlalchemy==2.1.9' 'psycopg2-binary==2.9.13' 'django==5.2.19' \
	    'psycopg[binary]==3.3.9' 'asyncpg==0.32.0'; }

postgres:
	@if [ -z "$${SHARDGATE_PG_BIN:-}" ] && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
	  && ! { command -v pg_config >/dev/null && test -x "$$(pg_config --bindir)/initdb"; }; then \
	  $(call install,postgresql-$(POSTGRES_VERSION) postgresql-contrib); \
	fi
	@command -v psql >/dev/null || { $(call install,postgresql-client-$(POSTGRES_VERSION)); }

pgbouncer:
	@command -v pgbouncer >/dev/null || { $(call install,pgbouncer); }

# For benches/.
python3:
	@command -v python3 >/dev/null || { $(call install,python3); }

# rustc's own, if rustup can fetch it, else Debian's (19 reads the profiles of rustc 1.95).
profdata: rust
	@[ -n "$(PROFDATA)" ] || { command -v rustup >/dev/null && rustup component add llvm-tools 2>/dev/null; } \
	  || { $(call install,llvm-$(LLVM_VERSION)); }

nextest: rust
	@$(CARGO) nextest --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-nextest

# Debian's own service isn't wanted: the clusters here are private ones.
define install
  if command -v apt-get >/dev/null; then \
    echo "installing $(1)"; \
    $(SUDO) mkdir -p /etc/postgresql-common/createcluster.d; \
    echo 'create_main_cluster = false' | $(SUDO) tee /etc/postgresql-common/createcluster.d/shardgate.conf >/dev/null; \
    $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1); \
  else echo "please install $(1), then run make again" >&2; exit 1; fi
endef
