"""Models as users hold them: forward, loading, saving, resizing, under the ecosystem's class names."""
