# The charts and the site. `target/site/venv` has their tools.

SITE      := $(CURDIR)/target/site
SITE_VENV := $(SITE)/venv

.PHONY: charts pictures site check-site

$(SITE_VENV)/.done: docs/site/requirements.txt
	$(call needs,$(PYTHON),Python 3)
	$(PYTHON) -m venv $(SITE_VENV)
	$(SITE_VENV)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

##@ Document
charts: $(SITE_VENV)/.done ## draw docs/performance/*.svg from the recorded results of `make bench`
	@PYTHONPATH=benches $(SITE_VENV)/bin/python -m charts

pictures: ## draw docs/pictures/*.svg from the programs beside them
	$(call needs,$(PYTHON),Python 3)
	@$(PYTHON) docs/pictures

site: $(SITE_VENV)/.done ## build in target/site/html: the guide, the references and the search, as pages that need no server
	$(call needs,$(GO),Go)
	$(call needs,$(CARGO),Rust)
	@GO=$(GO) CARGO=$(CARGO) $(SITE_VENV)/bin/python docs/site/build.py

check-site: site venv ## open every page in a browser: errors, search, phone, dark colors, keyboard; screenshots in target/site/screenshots
	cd tests && THB_SITE=1 $(VENV)/bin/python -m pytest site
