import ArgumentParser
public import TesseraTokenizers

extension VectorQuantizer.Rule: ExpressibleByArgument {}
