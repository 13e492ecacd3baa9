public import ArgumentParser
public import TesseraDatasets

extension DatasetFormat: ExpressibleByArgument {}
