public import ArgumentParser
public import Tokenization

extension InstructionSet: ExpressibleByArgument {}
