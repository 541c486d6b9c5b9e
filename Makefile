# Everything here runs on a machine with git, Python 3.11 or newer, and the internet.

PYTHON ?= python3
JOBS ?= 2
BIN := $(CURDIR)/.venv/bin

# What `make demo` renders, and the call that you watch there.
DEMO := build/demo
DEMO_SCENARIO := scenarios/call-barge-in.yml

PRESETS := $(basename $(notdir $(wildcard presets/*.yml)))

.DEFAULT_GOAL := help
.PHONY: help demo new check test matrix lint bench load newest release

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready ## Render a project, install it, and watch a caller talk to it
	rm -rf $(DEMO)
	"$(BIN)/copier" copy --quiet --defaults --vcs-ref HEAD "$(CURDIR)" $(DEMO)
	git init --quiet $(DEMO)
	cd $(DEMO) && "$(BIN)/uv" sync --quiet
	cd $(DEMO) && "$(BIN)/uv" run agent scenario --watch $(DEMO_SCENARIO)
	@printf '%s\n' "" "Now talk to it yourself, without an account:" "  cd $(DEMO) && $(BIN)/uv run agent call" \
	  "Or start a project of your own, which asks at most twelve questions:" "  make new DEST=../my-agent"

new: .venv/ready ## Start your project: make new DEST=../my-agent [PRESET=startup-voice] [ARGS='--defaults -d path=manual']
	@test -n "$(DEST)" || { echo "Say where: make new DEST=../my-agent"; exit 2; }
	@test -z "$(PRESET)" -o -f "presets/$(PRESET).yml" || { echo "There is no preset $(PRESET). Take one of: $(PRESETS)"; exit 2; }
	@"$(BIN)/python" -m hooks.clone $(if $(DRAFT),--draft) $(ARGS)
	@"$(BIN)/python" -m hooks.new $(if $(DRAFT),--draft) "$(DEST)" $(if $(PRESET),--data-file "$(CURDIR)/presets/$(PRESET).yml") $(ARGS)

check: .venv/ready ## List every problem of a file of answers: make check ANSWERS=answers.yml [JSON=1]
	@test -n "$(ANSWERS)" || { echo "Say which: make check ANSWERS=answers.yml"; exit 2; }
	@"$(BIN)/python" -m hooks.check $(if $(JSON),--json) "$(ANSWERS)"

test: lint ## Test everything, in some minutes
	"$(BIN)/pytest" -n $(JOBS) --dist loadgroup

matrix: lint ## Test everything, and install every pair of choices: make matrix [SHARD=2/4] [TESTS=tests/test_emitted.py]
	SHARD="$(SHARD)" "$(BIN)/pytest" -n $(JOBS) --dist loadgroup -m "" $(TESTS)

lint: .venv/ready ## Check style and types of the template and of its tests
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/mypy"

bench: .venv/ready ## Compare generating with copying, memory with none, a turn with one that is observed; count conflicts of updates
	"$(BIN)/python" benchmarks/generate.py
	"$(BIN)/python" -m benchmarks.first_turn
	"$(BIN)/python" -m benchmarks.fresh_worker
	"$(BIN)/python" -m benchmarks.observability
	"$(BIN)/python" -m benchmarks.conflicts

load: .venv/ready ## Load every path and TAC's quickstart with calls, then one server with thousands: make load [ARGS='--parts soak']
	"$(BIN)/python" -m benchmarks.load $(ARGS)

newest: .venv/ready ## Try the newest release of every package: which pin broke, which guard may go
	"$(BIN)/python" -m tests.newest

release: .venv/ready ## Write the entry of a release into CHANGELOG.md: make release VERSION=0.2.0
	@"$(BIN)/python" -m hooks.release prepare "$(VERSION)"

.venv/ready: pyproject.toml
	"$(PYTHON)" -m venv .venv
	"$(BIN)/pip" install --quiet uv
	"$(BIN)/uv" sync --quiet --inexact
	@touch $@
