def export_definitions(settings): raise RuntimeError
