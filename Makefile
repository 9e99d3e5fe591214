# The two commands of the README are `make demo` and `make test`; each does all the set-up it needs.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help demo test setup build bench soak fuzz docs clean
export PYTHON ?= python3

help:
	@echo "make demo    five things on real films, failures among them             (first time: minutes; later: two)"
	@echo "make test    everything: C++, Python, sanitizers, consumers, headers"
	@echo "make build   libraries and command into build/, the package into .venv"
	@echo "make setup   what a build needs: Debian packages, .venv, the demo's film"
	@echo "make bench   Vidloom beside its limits and its peers, into docs/performance.md (an hour); ROWS='D1 P1' for some"
	@echo "make soak    the same work again and again, watching memory, threads and files; SECONDS=600 MODEL=a CLIP model"
	@echo "make fuzz    20,000 damaged files and texts, and as many more as fit into SECONDS=600, under sanitizers"
	@echo "make docs    checks links and examples of the documentation"
	@echo "make clean   removes build/, out/, dist/"

setup:
	@src/cmake/tools/setup.sh

build: setup
	@src/cmake/tools/build.sh

demo: build
	@src/cmake/tools/demo.sh

test: setup
	@tests/support/run_all.sh

bench: build
	@benchmarks/side_by_side/setup.sh
	@cmake --preset bench --log-level=WARNING -DVIDLOOM_TEST_PYTHON=$(CURDIR)/build/bench-venv/bin/python
	@cmake --build build/bench --target vidloom_bench vidloom_bench_ours vidloom_bench_limits vidloom_bench_towers vidloom_command vidloom_ffmpeg vidloom_opencv
	@mkdir -p out/bench && build/bench/bin/vidloom_bench --benchmark_out=out/bench/parts.json --benchmark_out_format=json
	@PYTHONPATH=benchmarks .venv/bin/python -m side_by_side $(ROWS) --write docs/performance.md

soak: build
	@.venv/bin/python tests/support/soak.py --seconds $(or $(SECONDS),600) $(if $(MODEL),--model $(MODEL))

fuzz: build
	@tests/fuzz/run.sh $(or $(SECONDS),600)

docs: build
	@.venv/bin/python tests/support/check_docs.py

clean:
	@rm -rf out dist
	@if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name clips -exec rm -rf {} +; fi
	@rm -f .venv/.vidloom-built
