"""``python -m hf_ext.data.checks``: a script like those at the top of the repository, which stand above the floors."""

if __name__ == "__main__":
    from hf_ext.cli.checking import main
    from hf_ext.cli.running import run_script

    run_script(main)
