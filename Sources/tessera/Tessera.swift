import ArgumentParser
import Foundation
import Readers
import Tensors

@main
struct Tessera: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tessera",
    abstract: "Turn files into training data: images into codes, checkpoints into weights.",
    discussion: """
      Exit codes: 0 done, 1 some inputs rejected under --strict, 3 malformed or unsafe input,
      4 incomplete mapping or mismatch, 5 numeric limit, 6 input/output, 64 wrong usage.
      """,
    version: version,
    subcommands: [
      TokenizeCommand.self, PrepareCommand.self, DecodeCommand.self, ExportCommand.self,
      ConvertCommand.self, InspectCommand.self, VerifyCommand.self, DiffCommand.self,
      QuantizeCommand.self, PositionsCommand.self, GridCommand.self, SSMCommand.self,
      SoftenCommand.self, DistillCommand.self, LevelsCommand.self, TokenizersCommand.self,
      RecipesCommand.self, BenchCommand.self,
    ]
  )

  /// The version of the program, as outputs record it.
  static let version = "0.1.0"

  static func main() async {
    // A file beyond the user's size limit is an error to report and clean up after, not a signal.
    signal(SIGXFSZ, SIG_IGN)
    HDF5Checkpoint.endProcessOnLibraryCrash()
    do {
      try refuseRemoteLocations()
      var command = try parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch let error as any ClassifiedError {
      FileHandle.standardError.write(Data("Error: \(error.description.oneLine)\n".utf8))
      exit(withError: ExitCode(error.kind.rawValue))
    } catch {
      exit(withError: error)
    }
  }
}

extension Tessera {
  /// A name that was meant for a network and would become a local folder, in whichever argument of whichever
  /// verb.
  private struct RemoteLocationError: ClassifiedError {
    let argument: String
    let scheme: String

    var kind: FailureKind { .malformedInput }
    var description: String {
      "\(argument): tessera has no network; \(RemoteLocation.advice(for: scheme))"
    }
  }

  private static func refuseRemoteLocations() throws {
    for argument in CommandLine.arguments.dropFirst() {
      guard let scheme = RemoteLocation.scheme(in: argument) else { continue }
      throw RemoteLocationError(argument: argument, scheme: scheme)
    }
  }
}

extension String {
  /// The text with control characters escaped: names from a file stay on one line and steer no
  /// terminal.
  fileprivate var oneLine: String {
    unicodeScalars.reduce(into: "") { text, scalar in
      let isControl = scalar.properties.generalCategory == .control
      text += isControl ? scalar.escaped(asASCII: true) : String(scalar)
    }
  }
}
