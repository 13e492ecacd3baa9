import ArgumentParser
import TesseraCore
import TesseraStateSpaces

/// A signal to the states of a system.
struct SSMEncodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "encode",
    abstract: "Stream a signal through a system; write the state after each sample.",
    discussion: """
      SIGNAL.npy holds real numbers [samples] or [samples, channels]; the states are [rows, N] or \
      [rows, channels, N] (a last axis of 2 for complex ones). Row 0 is the state after the first \
      sample, which in LegS is u0 e0; hippo-py steps from K = 0. With --every M a row stands after \
      samples M, 2M, … and after the last. Files are streamed: they may be larger than memory.

      With --method and --dt a system is stepped with constant coefficients; with --convention, or with \
      --method alone, legs and fourier-full are with their factor 1/t. Each step is the one that 'ssm \
      discretize' writes, --legs K for the sample after K.

      A step takes O(N): LegS with --convention (optimal is the exact projection of the step function), \
      and legs, legt, lmu, fout, lagt and s4d-… with --method backward, bilinear or gbt:A. zoh of a \
      system that is not diagonal multiplies by a dense A_bar; other steps with the factor 1/t take O(N^3).

      EXAMPLE
        tessera ssm encode signal.npy --measure legs --order 256 --convention optimal -o states.npy
        tessera ssm encode signal.npy --measure legt --order 64 --method bilinear --dt 0.001 -o states.npy
      """
  )

  @Argument(help: "The signal (.npy).", completion: .file(extensions: ["npy"]))
  var input: String

  @Option(help: "The measure, as in 'ssm hippo'.")
  var measure: HippoMeasure

  @Option(help: "The number N of states.")
  var order: Int

  @Option(help: "The scaling of the basis.")
  var form = HippoForm.paper

  @Option(help: "The window's length, in legt, lmu, fout and fourier-window.")
  var window = 1.0

  @Option(help: "lagt's tilt.")
  var tilt = 0.0

  @Option(
    help: "Step by this rule: forward, backward, bilinear, gbt:A, zoh."
  )
  var method: DiscretizationMethod?

  @Option(help: "The time between samples, with --method: constant coefficients.")
  var dt: Double?

  @Option(
    help: "Step legs or fourier-full with the factor 1/t: paper, optimal, trap, hippo-c, hippo-py."
  )
  var convention: LegsConvention?

  @Option(help: "Write only every so many samples' state.")
  var every = 1

  @Option(help: "The precision of the states as they are written.")
  var dtype = FloatType.float64

  @Option(
    name: .shortAndLong,
    help: "Where to write (.npy).",
    completion: .file(extensions: ["npy"])
  )
  var output: String

  @OptionGroup var reporting: OutputOptions

  func validate() throws {
    guard every >= 1 else { throw ValidationError("--every: at least 1") }
    guard (method == nil) != (convention == nil), dt == nil || method != nil else {
      throw ValidationError(
        "Say --method and --dt (constant coefficients), or --convention (the factor 1/t)."
      )
    }
    guard dt != nil || VaryingRule(method: method, convention: convention) != nil else {
      throw ValidationError("\(VaryingRule.refusal).")
    }
  }

  /// What a run reports.
  private struct Summary: Encodable {
    let samples: Int
    let channels: Int
    let shape: [Int]
    let dtype: String
  }

  func run() throws {
    let system = try HippoSystem(measure, order: order, form: form, window: window, tilt: tilt)
    let stepping: SignalEncoder.Stepping
    if let dt, let method {
      stepping = .constant(method, step: dt)
    } else if let rule = VaryingRule(method: method, convention: convention) {
      stepping = .varying(rule)
    } else {
      preconditionFailure("validate() has checked it")
    }
    let file = try ArrayFile(path: input)
    let shape = file.header.shape
    let channels = shape.rank == 2 ? shape[1] : 1
    guard 1...2 ~= shape.rank, (1...1 << 20).contains(channels), let count = shape.elementCount
    else {
      throw problem(.mismatch, "\(shape) is neither [samples] nor [samples, channels]")
    }
    let encoder = try TesseraError.naming(input) {
      try SignalEncoder(system, stepping: stepping, channels: channels)
    }
    let samples = count / channels
    let rows = samples / every + (samples % every == 0 ? 0 : 1)
    let leading = shape.rank == 2 ? [rows, channels] : [rows]
    let result = leading + encoder.stateShape
    guard let header = NPYHeader(elementType: dtype.elementType, shape: Shape(result)),
      let encoded = header.encoded
    else { throw problem(.numericLimit, "states of shape \(result) are larger than a file can be") }
    var written = try AtomicFile(path: output, reading: [input])
    try written.write(encoded)
    try stream(file, samples: samples, through: encoder, into: &written)
    try written.commit()
    reporting.note("ssm encode: \(samples) samples, \(dtype.rawValue) \(result)")
    try reporting.report(
      Summary(samples: samples, channels: channels, shape: result, dtype: dtype.rawValue)
    )
  }

  private func stream(
    _ file: ArrayFile,
    samples: Int,
    through encoder: SignalEncoder,
    into written: inout AtomicFile
  ) throws {
    // Some MiB of rows, and as many of samples.
    let perSample = max(encoder.rowCount / every, encoder.channels, 1)
    let block = min(1 << 16, max(1, (1 << 20) / perSample))
    var progress = ProgressLine(
      "ssm encode",
      unit: "samples",
      total: samples,
      isQuiet: reporting.quiet
    )
    for start in stride(from: 0, to: samples, by: block) {
      let end = min(samples, start + block)
      let elements = start * encoder.channels..<end * encoder.channels
      guard let values = StateSpaceArray(try file.read(elements))?.values else {
        throw problem(
          .mismatch,
          "a signal is real, and this is \(file.header.elementType.rawValue)"
        )
      }
      let rows = try TesseraError.naming(input) { try encoder.encode(values, every: every) }
      try written.write(try bytes(rows, before: end))
      progress.show(end)
    }
    if samples % every != 0 { try written.write(try bytes(encoder.lastRow, before: samples)) }
  }

  private func bytes(_ rows: [Double], before sample: Int) throws -> [UInt8] {
    guard dtype == .float32 else { return Tensor(shape: [rows.count], elements: rows).bytes }
    let narrow = rows.map { Float($0) }
    guard narrow.allSatisfy(\.isFinite) else {
      throw problem(.numericLimit, "a state before sample \(sample) is too large for float32")
    }
    return Tensor(shape: [rows.count], elements: narrow).bytes
  }

  private func problem(_ kind: FailureKind, _ reason: String) -> TesseraError {
    TesseraError(kind, reason).in(input)
  }
}
