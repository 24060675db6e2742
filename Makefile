# Everything a user or a contributor runs; each target does its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# llama.cpp's library alone, on all cores: neither its image library nor the chat parsers of its command-line tools,
# which llama-cpp-python switches on for good unless llama.cpp's own project says otherwise
LIBRARY_ONLY := $(VENV)/llama-library-only.cmake
export CMAKE_ARGS ?= -DLLAVA_BUILD=OFF -DCMAKE_PROJECT_llama.cpp_INCLUDE=$(CURDIR)/$(LIBRARY_ONLY)
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(shell getconf _NPROCESSORS_ONLN)

.PHONY: install sasrec demo test check lint types reference docs clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Whimbrel needs Python 3.11 or later; $(PYTHON) is `$(PYTHON) --version 2>&1`. Set PYTHON=..." >&2; exit 1; }
	@printf 'int main(void) { return 0; }' | $${CXX:-c++} -x c++ -o /dev/null - 2>/dev/null || \
	  { echo "Whimbrel needs a C and C++ compiler to build llama.cpp: install one (Debian: apt install g++; macOS: xcode-select --install)" >&2; exit 1; }
	@echo "Installing into $(VENV). The first time, llama.cpp is built from source: 2 to 5 minutes, shown as 'Building wheel'."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'set(LLAMA_BUILD_COMMON OFF)' > $(LIBRARY_ONLY)
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# RecTools asks for an older NumPy on Python 3.11 and 3.12 than it needs, so it is installed past that.
sasrec: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch pytorch-lightning typeguard
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'rectools>=0.19'

demo: install
	$(BIN)/whimbrel demo

# Two processes. Tests of one file share stores and models, so they run in one process.
test: install
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: install lint types test

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo --no-cache

types: install
	$(BIN)/mypy src/whimbrel

# The pages in docs/reference, from the code.
reference: install
	$(BIN)/python -m whimbrel.agent.cli.reference

# The site, in the folder site. A dead link is an error.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) build dist site *.egg-info
