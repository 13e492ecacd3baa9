import ArgumentParser
import TesseraCheckpoints
import TesseraCore

/// `tessera-bench`: every published figure can be measured again with it.
@main
struct BenchProgram: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tessera-bench",
    abstract: "Measure this machine: each stage of tessera alone, medians of repeated runs.",
    discussion: """
      Figures go to standard output as JSON, in words to standard error.
      """,
    version: ToolVersion.current,
    subcommands: [
      BenchConvertCommand.self, BenchExportCommand.self, BenchImagesCommand.self,
      BenchKernelsCommand.self, BenchNetworkCommand.self, BenchQuantizerCommand.self,
      BenchTextCommand.self, BenchTokenizeCommand.self,
    ]
  )

  static func main() async {
    StandardStream.prepare()
    HDF5.endProcess()
    do {
      var command = try parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch let error as TesseraError {
      StandardError.write(error: error)
      exit(withError: ExitCode(error.kind.rawValue))
    } catch {
      exit(withError: error)
    }
  }
}
