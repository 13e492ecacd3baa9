public import ArgumentParser
public import Tokenization

extension VectorQuantizer.Rule: ExpressibleByArgument {}
