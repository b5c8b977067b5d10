"""The instruments of the series: serve, trace, draw. `%load_ext webscale` gives a notebook the magic %%stage."""


def load_ipython_extension(shell) -> None:
    """Nothing is returned; `%%stage NAME` works from now on."""
    from webscale.stages import stage
    shell.register_magic_function(stage, "cell")
