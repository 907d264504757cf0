"""Models as users hold them: forward, loading, saving, under the ecosystem's class names."""
