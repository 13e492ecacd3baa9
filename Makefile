# Two commands matter: `make demo` and `make test`. Each works alone after a fresh clone.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
ROOT := $(if $(filter 0,$(shell id -u)),,sudo)
PACKAGES := libjpeg-dev libpng-dev libhdf5-dev liblapack-dev zlib1g-dev libzstd-dev libsnappy-dev libsentencepiece-dev pkg-config
ORACLES ?= .cache/oracles
TEST_BUILD := .build-test
SWIFT_TEST := swift test -c release --scratch-path $(TEST_BUILD) --disable-xctest

.PHONY: setup build demo test lint test-swift test-shims test-oracles test-faults oracles fuzz bench clean test-arm

## Installs the C libraries on Debian; does nothing where they are present.
setup:
	@missing=(); for package in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing+=($$package); \
	done; \
	if (( $${#missing[@]} )); then \
	  $(ROOT) apt-get update -q && $(ROOT) apt-get install -qy --no-install-recommends "$${missing[@]}"; \
	fi

build: setup
	swift build -c release

## Builds, tokenizes the fixture photographs with the embedded tokenizer, decodes them again.
demo: build
	rm -rf demo
	.build/release/tessera tokenize fixtures/photos -o demo/dataset
	.build/release/tessera inspect demo/dataset
	.build/release/tessera decode demo/dataset -o demo/decoded --originals fixtures/photos
	.build/release/tessera convert fixtures/weights/fer-emotion.hdf5 -o demo/emotion.safetensors --to torch
	@echo "Look at demo/decoded/contact-sheet.png; shards are in demo/dataset/shards."

## Everything that continuous integration runs.
test: setup lint test-swift test-shims test-arm test-oracles

lint:
	swift format lint --strict --recursive --parallel Package.swift Sources Tests

test-swift: setup
	swift build -c release --build-tests --scratch-path $(TEST_BUILD)
	$(SWIFT_TEST) --skip-build

## The C shims under AddressSanitizer: small inputs, cut and damaged files.
test-shims: setup
	swift test --sanitize=address --scratch-path .build-asan --disable-xctest --filter 'ShimTests'

## The C kernels compiled for Arm and run by qemu-user: the same bits as here, on odd shapes.
ARM_PACKAGES := qemu-user libc6-dev-arm64-cross libgcc-12-dev-arm64-cross
test-arm:
	@dpkg-query -W $(ARM_PACKAGES) >/dev/null 2>&1 || \
	  { $(ROOT) apt-get update -q && $(ROOT) apt-get install -qy --no-install-recommends $(ARM_PACKAGES); }
	scripts/test_arm.sh

## Compares the program with the reference implementations in Python.
test-oracles: test-swift oracles
	TESSERA=$(TEST_BUILD)/release/tessera $(ORACLES)/bin/python -m pytest -q -rs -n 2 --dist loadfile Tests/Oracles

## Every call to the system that can fail, in every verb and layout; `make test` draws a tenth of them.
test-faults: test-swift oracles
	TESSERA_FAULTS=1 TESSERA=$(TEST_BUILD)/release/tessera $(ORACLES)/bin/python -m pytest -q -rs -n 2 Tests/Oracles/test_faults.py

## The Python environment of the oracles; made anew when its requirements change.
oracles: $(ORACLES)/.complete
$(ORACLES)/.complete: Tests/Oracles/requirements.txt Tests/Oracles/requirements-no-deps.txt
	@python3 -c 'import ensurepip' 2>/dev/null || \
	  { $(ROOT) apt-get update -q && $(ROOT) apt-get install -qy --no-install-recommends python3-venv; }
	python3 -m venv $(ORACLES)
	$(ORACLES)/bin/pip install -q --disable-pip-version-check -r Tests/Oracles/requirements.txt
	$(ORACLES)/bin/pip install -q --disable-pip-version-check --no-deps -r Tests/Oracles/requirements-no-deps.txt
	touch $@

## Fuzzes every reader under AddressSanitizer: a million inputs each, an hour at most. `make test` replays what it kept.
fuzz: build oracles
	TESSERA=.build/release/tessera PYTHON=$(ORACLES)/bin/python Tests/Fuzzing/run.sh all

## Measures every stage, the peers in turns beside it; PHOTOS names a folder of photographs.
PHOTOS ?= fixtures/photos
bench: build oracles
	.build/release/tessera-bench kernels
	.build/release/tessera-bench tokenize $(PHOTOS)
	$(ORACLES)/bin/python scripts/bench_images.py $(PHOTOS)
	$(ORACLES)/bin/python scripts/bench_network.py
	$(ORACLES)/bin/python scripts/bench_network.py --shape vq-16 --pairs 3
	$(ORACLES)/bin/python scripts/bench_quantizers.py
	$(ORACLES)/bin/python scripts/bench_network.py --shape chameleon --size 512 --memory
	$(ORACLES)/bin/python scripts/bench_convert.py .build/release/tessera
	$(ORACLES)/bin/python scripts/bench_ssm.py .build/release/tessera
	$(ORACLES)/bin/python scripts/bench_datasets.py .build/release/tessera --folder /dev/shm
	$(ORACLES)/bin/python scripts/bench_text.py .build/release/tessera
	$(ORACLES)/bin/python scripts/bench_checkpoints.py .build/release/tessera

clean:
	rm -rf .build .build-test .build-asan .build-fuzz .fuzz .cache demo
