import ArgumentParser

/// The hidden verb under which every published figure can be measured again.
struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure this machine: each stage alone, medians of repeated runs.",
    shouldDisplay: false,
    subcommands: [
      BenchConvertCommand.self, BenchExportCommand.self, BenchImagesCommand.self,
      BenchKernelsCommand.self, BenchNetworkCommand.self, BenchQuantizerCommand.self,
      BenchTextCommand.self, BenchTokenizeCommand.self,
    ]
  )
}
