#!/usr/bin/env bash
# Debian's Chromium and its driver, for the tests of the page. Where they cannot be had those tests are skipped.
set -u
has_browser() { command -v chromium >/dev/null && command -v chromedriver >/dev/null; }
install() { timeout 300 apt-get install --yes --quiet=2 --no-install-recommends chromium chromium-driver >/dev/null 2>&1; }
export DEBIAN_FRONTEND=noninteractive
if ! has_browser && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    install || { timeout 120 apt-get update --quiet=2 >/dev/null 2>&1 && install; }
fi
has_browser || echo "no chromium with chromedriver here: the page of hf-ext serve is not tested in a browser"
