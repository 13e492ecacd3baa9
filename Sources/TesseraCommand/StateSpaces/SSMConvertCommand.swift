import ArgumentParser
import TesseraCheckpoints
import TesseraCore
import TesseraStateSpaces

/// From one parametrisation to another.
struct SSMConvertCommand: ParsableCommand {
  /// What a checkpoint becomes.
  enum Target: String, ExpressibleByArgument, CaseIterable {
    case s4, s4d, mamba
    case lruDiscrete = "lru-discrete"
    case lruContinuous = "lru-continuous"
    case lru
  }

  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Turn layers into another parametrisation: S4 and S4D, Mamba's A, the LRU.",
    usage: "tessera ssm convert <input> --to <to> [<options>]",
    discussion: """
      s4d and s4 take a checkpoint of state-spaces/s4, version 4: s4d drops P (another system, not \
      undone), after C (I - A_bar^L) is restored; s4 adds P = 0.

      mamba takes a checkpoint of Mamba-1 or 2 (mamba_ssm, transformers, GGUF) and writes A of \
      each layer. dt, B and C come from the input there, so no A_bar and B_bar can be exported; \
      --dt adds those of one fixed step, labelled as an approximation: a number, or 'bias' for \
      softplus of the stored bias.

      lru-discrete and lru-continuous (with --dt) take nu_log, theta_log, gamma_log, B_re, … of a \
      linear recurrent unit and write the system; lru makes these parameters of such a file again. \
      y = Re(C x) + D u, no factor 2.

      EXAMPLE
        tessera ssm convert s4.safetensors --to s4d -o s4d.safetensors
        tessera ssm convert mamba-130m/ --to mamba --dt 0.01 -o lti.safetensors
        tessera ssm convert lru.npz --to lru-continuous --dt 0.1 \\
          -o system.safetensors
      """
  )

  @Argument(help: "A checkpoint, or a file that this verb has written.", completion: .file())
  var input: String

  @Option(help: "What to make.")
  var to: Target

  @Option(help: "A step: for mamba a number or 'bias', for lru-continuous a number.")
  var dt: String?

  @Option(help: "The prefix of the one layer to take, for lru-discrete and lru-continuous.")
  var layer: String?

  @OptionGroup var transforms: S4Options
  @OptionGroup var destination: StateSpaceOutput

  func validate() throws {
    switch to {
    case .mamba:
      guard dt == nil || dt == "bias" || dt.flatMap({ Double($0) }) != nil else {
        throw ValidationError("'--dt' is a number or 'bias'.")
      }
    case .lruContinuous:
      guard dt.flatMap({ Double($0) }) != nil else {
        throw ValidationError("'--to lru-continuous' needs '--dt', a number.")
      }
    default:
      guard dt == nil else { throw ValidationError("'--dt' belongs to mamba and lru-continuous.") }
    }
    guard layer == nil || to == .lruDiscrete || to == .lruContinuous else {
      throw ValidationError("'--layer' belongs to lru-discrete and lru-continuous.")
    }
    guard ![.s4, .s4d].contains(to) || destination.output != nil else {
      throw ValidationError("'--to \(to.rawValue)' writes a checkpoint; name it with -o.")
    }
  }

  func run() throws {
    if to == .s4 || to == .s4d { return try convertCheckpoint() }
    let result = try TesseraError.naming(input) { try system() }
    try destination.finish(result, verb: "convert", reading: [input])
    if to == .mamba {
      let label = result.metadata["tessera.ssm.approximation"] ?? "A alone"
      destination.reporting.note("ssm convert: dt, B and C depend on the input; \(label)")
    }
  }

  private func system() throws -> StateSpaceFile {
    let number = dt.flatMap { Double($0) }
    switch to {
    case .mamba:
      let step = number.map { SelectiveSystem.Step.fixed($0) } ?? (dt == nil ? nil : .bias)
      return try SelectiveSystem(of: try Checkpoint.open(input)).file(step: step)
    case .lruContinuous:
      let unit = try LinearRecurrentUnit(of: try Checkpoint.open(input), layer: layer)
      return try unit.continuous(step: number ?? 0)
    case .lruDiscrete:
      return try LinearRecurrentUnit(of: try Checkpoint.open(input), layer: layer).discrete
    case .lru: return try LinearRecurrentUnit(StateSpaceFile(path: input)).parameters()
    case .s4, .s4d: preconditionFailure("run() has taken these")
    }
  }

  private func convertCheckpoint() throws {
    guard let output = destination.output else { preconditionFailure("validate() has checked it") }
    let checkpoint = try transforms.open(input)
    let result = try TesseraError.naming(input) {
      try checkpoint.restructured(as: to == .s4 ? .dplr : .diagonal)
    }
    var metadata = result.attributes
    metadata["tessera.ssm.convert"] = result.notes.joined(separator: "; ")
    try CheckpointFile.write(result.tensors, to: output, metadata: metadata, reading: [input])
    for note in result.notes { destination.reporting.note("ssm convert: \(note)") }
  }
}
