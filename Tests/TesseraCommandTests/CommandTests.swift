import Fixtures
import Foundation
import Testing

/// The program as a user meets it: its help, its usage errors, its exit codes.
@Suite struct CommandTests {
  static let verbs = [
    "tokenize", "prepare", "decode", "export", "convert", "inspect", "verify", "diff", "quantize",
    "positions", "grid", "ssm", "soften", "distill", "levels", "tokenizers", "recipes",
  ]

  /// Runs the program; standard output, standard error, exit code.
  func run(
    _ arguments: [String],
    of program: String = Fixtures.program
  ) throws -> (output: String, errors: String, code: Int32) {
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    let (output, errors) = (Pipe(), Pipe())
    (process.standardOutput, process.standardError) = (output, errors)
    try process.run()
    let text = output.fileHandleForReading.readDataToEndOfFile()
    let complaints = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (
      String(decoding: text, as: UTF8.self), String(decoding: complaints, as: UTF8.self),
      process.terminationStatus
    )
  }

  @Test func `the help lists the verbs that are tested here, and no other`() throws {
    let help = try run(["--help"]).output
    let list = try #require(help.split(separator: "SUBCOMMANDS:").last)
    let listed = list.split(separator: "\n").filter { $0.hasPrefix("  ") && !$0.hasPrefix("   ") }
      .compactMap { $0.split(separator: " ").first.map(String.init) }
    #expect(listed.filter { $0 != "See" } == Self.verbs)
  }

  @Test func `both programs have one version, and figures are no verb`() throws {
    let version = try run(["--version"])
    let bench = try run(["--version"], of: Fixtures.program + "-bench")
    #expect(version.code == 0 && version.output.split(separator: ".").count == 3)
    #expect(bench.output == version.output)
    #expect(try run(["bench", "kernels"]).code == 64)
  }

  @Test func `figures are JSON on standard output`() throws {
    let text = ["quantizer", "--codes", "64", "--runs", "1", "--instructions", "baseline"]
    let result = try run(text, of: Fixtures.program + "-bench")
    let figures = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
    #expect((figures as? [String: Any])?["milliseconds"] is Double)
    #expect(try run(["text", "no-such-file"], of: Fixtures.program + "-bench").code == 64)
  }

  @Test(arguments: verbs)
  func `every verb has a help with an example, and a line in the README`(verb: String) throws {
    let help = try run(["help", verb])
    #expect(help.code == 0)
    #expect(help.output.contains("EXAMPLE"))
    #expect(help.output.contains("tessera \(verb)"))
    let readme = URL(filePath: Fixtures.root + "/README.md")
    #expect(try String(contentsOf: readme, encoding: .utf8).contains("| `\(verb)"))
  }

  @Test(arguments: [
    ["tokenize"], ["tokenize", "photos"], ["tokenize", "p", "-o", "d", "--positions", "unknown"],
    ["tokenize", "p", "-o", "d", "--workers", "0"], ["prepare", "p", "-o", "d", "--as", "gif"],
    ["prepare", "p", "-o", "d", "--resize", "bicubic:short=0"], ["convert", "model.h5"],
    ["quantize", "l.npy", "-o", "c.npy"], ["positions", "s.jsonl", "-o", "i.npy"],
    ["positions", "s.jsonl", "--scheme", "rope9d", "-o", "i.npy"],
    ["ssm", "hippo", "--measure", "legs", "--order", "4"],
    ["ssm", "discretize", "f.npz", "-o", "g.npz"],
    ["ssm", "encode", "u.npy", "--measure", "legs", "--order", "4", "-o", "x.npy"],
    ["soften", "l.npy", "--map", "softmax"], ["soften", "l.npy", "-o", "t.safetensors"],
    ["ssm", "discretize", "f.npz", "--method", "gbt:2", "--dt", "1", "-o", "g.npz"],
  ])
  func `wrong usage is found before anything is read`(arguments: [String]) throws {
    let result = try run(arguments)
    #expect(result.code == 64)
    #expect(result.output.isEmpty)
    #expect(result.errors.hasPrefix("Error: "))
  }

  @Test(arguments: [
    (["inspect", Fixtures.path("photos/damaged/text.jpg")], 3),
    (["tokenizers", Fixtures.path("weights/fer-emotion.hdf5")], 4),
    (["inspect", "no-such-file"], 6),
  ])
  func `errors are one line and end in their exit code`(arguments: [String], code: Int) throws {
    let result = try run(arguments)
    #expect(result.code == code)
    #expect(result.errors.hasPrefix("Error: ") && result.errors.filter { $0 == "\n" }.count == 1)
  }
}
