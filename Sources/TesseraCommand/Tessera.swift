import ArgumentParser
import CProcess
import Foundation
import TesseraCheckpoints
import TesseraCore

@main
struct Tessera: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tessera",
    abstract: "Turn files into training data: images into codes, checkpoints into weights.",
    discussion: """
      Exit codes: 0 done, 1 some inputs rejected under --strict, 3 malformed or unsafe input, 4 \
      incomplete mapping or mismatch, 5 numeric limit, 6 input/output, 64 wrong usage.
      """,
    version: ToolVersion.current,
    subcommands: [
      TokenizeCommand.self, PrepareCommand.self, DecodeCommand.self, ExportCommand.self,
      ConvertCommand.self, InspectCommand.self, VerifyCommand.self, DiffCommand.self,
      QuantizeCommand.self, PositionsCommand.self, GridCommand.self, SSMCommand.self,
      SoftenCommand.self, DistillCommand.self, LevelsCommand.self, TokenizersCommand.self,
      RecipesCommand.self,
    ]
  )

  static func main() async {
    StandardStream.prepare()
    // A file beyond the user's size limit is an error to report and clean up after, not a signal.
    signal(SIGXFSZ, SIG_IGN)
    HDF5.endProcess()
    precondition(cprocess_is_checked() >= 0, "linked")
    let arguments = (1..<max(1, cprocess_argument_count())).compactMap { index in
      unsafe cprocess_argument(index).map { unsafe String(cString: $0) }
    }
    TerminationSignals.watch()
    do {
      try refuseRemoteLocations(in: arguments)
      var command = try parseAsRoot(arguments)
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      end(for: error)
    }
  }

  /// Says what ended the run and exits with the code of its kind.
  private static func end(for error: any Error) -> Never {
    // A signal that takes files away is the cause of what failed then.
    Interruption.yieldToSignal()
    Interruption.removeScaffolds()
    if let error = error as? TesseraError {
      StandardError.write(error: error)
      exit(withError: ExitCode(error.kind.rawValue))
    }
    let text = fullMessage(for: error)
    guard !text.isEmpty else { exit(withError: error) }
    guard exitCode(for: error) == .success else {
      StandardError.write(text.printable + "\n")
      exit(withError: exitCode(for: error))
    }
    // The help that was asked for.
    do {
      try StandardOutput.print(text)
    } catch {
      end(for: error)
    }
    exit(withError: ExitCode.success)
  }
}

extension Tessera {
  /// Refuses a name that was meant for a network and would become a local folder, in whichever argument of
  /// whichever verb.
  private static func refuseRemoteLocations(in arguments: [String]) throws {
    for argument in arguments {
      guard let scheme = RemoteLocation.scheme(in: argument) else { continue }
      throw TesseraError.malformed(
        "tessera has no network; \(RemoteLocation.advice(for: scheme))",
        file: argument
      )
    }
  }
}
