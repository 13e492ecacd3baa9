# Two commands matter: `make demo` and `make test`. Each works alone after a fresh clone.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
ROOT := $(if $(filter 0,$(shell id -u)),,sudo)
PACKAGES := libjpeg-dev libpng-dev libwebp-dev libgif-dev libhdf5-dev liblapack-dev zlib1g-dev libzstd-dev libsnappy-dev libsentencepiece-dev pkg-config
ARM_PACKAGES := qemu-user libc6-dev-arm64-cross libgcc-12-dev-arm64-cross
ORACLES ?= .cache/oracles
TEST_BUILD := .build-test
SWIFT_TEST := swift test -c release --scratch-path $(TEST_BUILD) --disable-xctest

.PHONY: setup setup-arm setup-oracles build demo test lint test-build test-swift test-shims test-arm test-oracles test-faults docs \
  oracles fuzz bench clean

# Installs packages on Debian; does nothing where they are present.
define install
@missing=(); for package in $(1); do \
  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing+=($$package); \
done; \
if (( $${#missing[@]} )); then \
  $(ROOT) apt-get update -q && $(ROOT) apt-get install -qy --no-install-recommends "$${missing[@]}"; \
fi
endef

## The C libraries.
setup:
	$(call install,$(PACKAGES))

setup-arm:
	$(call install,$(ARM_PACKAGES))

# Any Python that makes environments will do.
setup-oracles:
	@python3 -c 'import ensurepip' 2>/dev/null || $(MAKE) -s PACKAGES=python3-venv setup

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

## Everything that continuous integration runs. The references' environment is fetched beside the build; the oracles, of
## which some take times, run alone. What runs side by side says all it has to say when it ends.
test: setup setup-arm setup-oracles
	$(MAKE) -j2 --output-sync=target lint test-arm oracles test-swift
	$(MAKE) test-shims docs test-oracles

lint:
	swift format lint --strict --recursive --parallel Package.swift Sources Tests

test-build: setup
	swift build -c release --build-tests --scratch-path $(TEST_BUILD)

test-swift: test-build
	$(SWIFT_TEST) --skip-build

## The C shims under AddressSanitizer: small inputs, cut and damaged files.
test-shims: setup
	TESSERA_SHIMS=1 swift test --sanitize=address --scratch-path .build-asan --disable-xctest --filter 'ShimTests'

## The C kernels compiled for Arm and run by qemu-user: the same bits as here, on odd shapes.
test-arm: setup-arm
	scripts/test_arm.sh

## Compares the program with the reference implementations in Python.
test-oracles: test-build oracles
	TESSERA=$(TEST_BUILD)/release/tessera $(ORACLES)/bin/python -m pytest -q -rs -n 2 --dist loadfile Tests/Oracles

## The documentation of the library `Tessera`, from what the tests have compiled; a warning is an error.
docs: test-build
	scripts/documentation.sh $(TEST_BUILD)/release .build-docs

## Every call to the system that can fail, in every verb and layout; `make test` draws some of each kind.
test-faults: test-build oracles
	TESSERA_FAULTS=1 TESSERA=$(TEST_BUILD)/release/tessera $(ORACLES)/bin/python -m pytest -q -rs -n 2 Tests/Oracles/test_faults.py

## The Python environment of the oracles; another one when its requirements change.
oracles: $(ORACLES)/.complete
$(ORACLES)/.complete: Tests/Oracles/requirements.txt Tests/Oracles/requirements-no-deps.txt | setup-oracles
	scripts/oracles.sh $(ORACLES)

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
	rm -rf .build .build-test .build-asan .build-docs .build-fuzz .fuzz .cache demo
