public import ArgumentParser
import TesseraCheckpoints
import TesseraCore
public import TesseraDistillation
import TesseraRules

/// What `convert` computes before it renames and writes: adapters, baked weights, a folded noise level.
struct GeneratorOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Merge a LoRA, DoRA, LoHa or LoKr: FILE, or FILE:STRENGTH; may be repeated.",
      valueName: "file[:strength]"
    ),
    completion: .file()
  )
  var lora: [String] = []

  @Option(
    help: """
      Of an adapter for several models, merge only this one's modules: unet, te1, te2, text_encoder, …; without it \
      every module must be the input's.
      """
  )
  var loraPart: String?

  @Option(
    help: "Compute parametrized weights once: weight-norm, edm2 or edm-qkv; may be repeated.",
    transform: GeneratorOptions.baking
  )
  var bake: [WeightBaking] = []

  @Option(
    help: "Fold an EDM or SiD generator at this noise level (SiD: 2.5); it then takes z ~ N(0, 1)."
  )
  var foldSigma: Double?

  @Option(
    help: ArgumentHelp(
      "Fold a generator of Stable Diffusion's kind (SiD-LSG: 625) at this time step, 0 to 999.",
      discussion: """
        The UNet has diffusers' names and the schedule of Stable Diffusion (scaled linear, 0.00085 to 0.012); \
        --prediction says what it predicts.
        """
    )
  )
  var foldTimestep: Int?

  @Option(help: "With --fold-timestep: epsilon (SD 1.5, 2.1-base) or v-prediction (SD 2.1).")
  var prediction: TimestepFold.Prediction?

  @Option(
    help: "The data's standard deviation in EDM's preconditioning, where the file does not say it."
  )
  var sigmaData: Double?

  @Option(
    help: ArgumentHelp(
      "With --fold-sigma: store this many latents and outputs beside the result (NAME.golden.safetensors).",
      discussion: """
        They are computed in float64 from the unfolded network, which must be EDM's SongUNet or DhariwalUNet:         seconds a sample of 32 x 32, minutes of 64 x 64. Whoever ports the generator compares with them.
        """,
      valueName: "count"
    )
  )
  var golden: Int?

  func validate() throws {
    if let golden {
      guard foldSigma != nil else {
        throw ValidationError("'--golden' belongs to '--fold-sigma'.")
      }
      guard (1...GoldenSamples.limits.samples).contains(golden) else {
        throw ValidationError("'--golden' is from 1 to \(GoldenSamples.limits.samples).")
      }
      guard !bake.contains(.edmQKV) else {
        throw ValidationError(
          "'--golden' evaluates EDM's own order of q, k and v; leave '--bake edm-qkv' out."
        )
      }
    }
    if let foldTimestep {
      guard TimestepFold.Constants.steps.contains(foldTimestep) else {
        throw ValidationError("'--fold-timestep' is from 0 to 999.")
      }
      guard prediction != nil else {
        throw ValidationError("'--fold-timestep' needs '--prediction': files do not say it.")
      }
      guard foldSigma == nil else {
        throw ValidationError("'--fold-timestep' and '--fold-sigma' fold different networks.")
      }
    } else if prediction != nil {
      throw ValidationError("'--prediction' belongs to '--fold-timestep'.")
    }
    guard foldSigma != nil || sigmaData == nil else {
      throw ValidationError("'--sigma-data' belongs to '--fold-sigma'.")
    }
    guard loraPart == nil || !lora.isEmpty else {
      throw ValidationError("'--lora-part' belongs to '--lora'.")
    }
    for argument in lora where Adapter(argument).path.isEmpty {
      throw ValidationError("'\(argument)': name the adapter's file.")
    }
  }

  /// Whether nothing is to be computed.
  var isEmpty: Bool { lora.isEmpty && bake.isEmpty && foldSigma == nil && foldTimestep == nil }

  @Sendable private static func baking(_ argument: String) throws -> WeightBaking {
    guard let baking = WeightBaking(rawValue: argument) else {
      let names = WeightBaking.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("'\(argument)' is none of \(names).")
    }
    return baking
  }

  /// An adapter as the user names it.
  struct Adapter {
    let path: String
    let strength: Double

    /// Splits FILE:STRENGTH; what follows the last colon is a strength only where it is a number.
    init(_ argument: String) {
      if let colon = argument.lastIndex(of: ":"),
        let strength = Double(argument[argument.index(after: colon)...]), strength.isFinite
      {
        path = String(argument[..<colon])
        self.strength = strength
      } else {
        path = argument
        strength = 1
      }
    }
  }

  /// A checkpoint with what the options ask for, and a line a merged weight.
  func applied(to checkpoint: any CheckpointReader) throws -> Prepared {
    var result = Prepared(checkpoint: checkpoint)
    for argument in lora {
      let adapter = Adapter(argument)
      let merge = try AdapterMerge(
        of: adapter.path,
        strength: adapter.strength,
        component: loraPart,
        into: result.checkpoint
      )
      result.checkpoint = merge.checkpoint
      result.modules += merge.modules
    }
    for bake in bake { result.checkpoint = try bake.baked(result.checkpoint) }
    if let foldSigma {
      let constants = SigmaFold.Constants(
        sigma: foldSigma,
        sigmaData: try sigmaData(of: checkpoint)
      )
      let folded = try SigmaFold(of: result.checkpoint, constants: constants)
      if let golden {
        result.generator = Generator(
          checkpoint: result.checkpoint,
          constants: constants,
          samples: golden
        )
      }
      result.checkpoint = folded.checkpoint
    }
    if let foldTimestep, let prediction {
      let constants = TimestepFold.Constants(timestep: foldTimestep, prediction: prediction)
      result.checkpoint = try TimestepFold(of: result.checkpoint, constants: constants).checkpoint
    }
    return result
  }

  /// The data's standard deviation: the user's, or the file's.
  private func sigmaData(of checkpoint: any CheckpointReader) throws -> Double {
    try sigmaData ?? GeneratorOptions.sigmaData(of: checkpoint)
  }

  /// The data's standard deviation as a file states it.
  static func sigmaData(of checkpoint: any CheckpointReader) throws -> Double {
    let stored = checkpoint.attributes.filter {
      $0.key == "sigma_data" || $0.key.hasSuffix(".sigma_data")
    }
    guard Set(stored.values).count == 1, let value = stored.values.first.flatMap({ Double($0) })
    else {
      let cause = "the file does not say sigma_data; name it with --sigma-data (EDM and SiD: 0.5)"
      throw TesseraError.mismatch(cause)
    }
    return value
  }

  /// A checkpoint after all of this.
  struct Prepared {
    var checkpoint: any CheckpointReader
    var modules: [AdapterMerge.Module] = []
    /// What golden samples are made of; nil where none are asked for.
    var generator: Generator?
  }

  /// A generator before it is folded.
  struct Generator {
    let checkpoint: any CheckpointReader
    let constants: SigmaFold.Constants
    let samples: Int

    /// The golden samples as a file beside this output.
    func goldenFile(beside output: String) throws -> CompanionFile {
      let samples = try GoldenSamples(of: checkpoint, constants: constants, count: samples)
      let file = output.split(separator: "/").last.map(String.init) ?? ""
      let stem = file.lastIndex(of: ".").map { String(file[..<$0]) } ?? file
      return CompanionFile(
        name: "\(stem).golden.safetensors",
        content: .bytes(try samples.file(toolVersion: ToolVersion.current))
      )
    }
  }
}

extension TimestepFold.Prediction: ExpressibleByArgument {}
