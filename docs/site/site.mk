# The charts and the site. `target/site/venv` has their tools.

SITE      := $(CURDIR)/target/site
SITE_VENV := $(SITE)/venv

.PHONY: charts pictures

$(SITE_VENV)/.done: docs/site/requirements.txt
	$(call needs,$(PYTHON),Python 3)
	$(PYTHON) -m venv $(SITE_VENV)
	$(SITE_VENV)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

charts: $(SITE_VENV)/.done ## draw docs/performance/*.svg from the recorded results of `make bench`
	@PYTHONPATH=benches $(SITE_VENV)/bin/python -m charts

pictures: ## draw docs/pictures/*.svg from the programs beside them
	$(call needs,$(PYTHON),Python 3)
	@$(PYTHON) docs/pictures
