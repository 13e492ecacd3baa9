public import ArgumentParser
public import Readers

extension DatasetFormat: ExpressibleByArgument {}
