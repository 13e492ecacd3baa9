package import TesseraCheckpoints
import TesseraCore
package import TesseraRules

/// What is computed from a checkpoint before it is renamed and written: adapters, baked weights, a folded noise level.
package struct GeneratorRequest: Sendable {
  /// The adapters to merge, in order.
  let adapters: [Adapter]
  /// Of an adapter for several models, the one whose modules are merged.
  let component: String?
  /// The parametrized weights to compute.
  let baking: [WeightBaking]
  /// The noise level at which an EDM or SiD generator is folded.
  let foldSigma: Double?
  /// The data's standard deviation, where the file does not say it.
  let sigmaData: Double?
  /// The number of latents and outputs to store beside the result.
  let golden: Int?
  /// The time step at which a generator of Stable Diffusion's kind is folded.
  let fold: TimestepFold.Constants?

  /// Collects what is asked for.
  package init(
    adapters: [Adapter],
    component: String?,
    baking: [WeightBaking],
    foldSigma: Double?,
    sigmaData: Double?,
    golden: Int?,
    fold: TimestepFold.Constants?
  ) {
    (self.adapters, self.component, self.baking) = (adapters, component, baking)
    (self.foldSigma, self.sigmaData, self.golden, self.fold) = (foldSigma, sigmaData, golden, fold)
  }

  /// An adapter as the user names it.
  package struct Adapter: Sendable {
    package let path: String
    package let strength: Double

    /// Splits FILE:STRENGTH; what follows the last colon is a strength only where it is a number.
    package init(_ argument: String) {
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

  /// A checkpoint with what the options ask for, and one line per merged weight.
  package func applied(to checkpoint: any CheckpointReader) throws -> Prepared {
    var result = Prepared(checkpoint: checkpoint)
    for adapter in adapters {
      let merge = try AdapterMerge(
        of: adapter.path,
        strength: adapter.strength,
        component: component,
        into: result.checkpoint
      )
      result.checkpoint = merge.checkpoint
      result.modules += merge.modules
    }
    for bake in baking { result.checkpoint = try bake.baked(result.checkpoint) }
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
    if let fold {
      result.checkpoint = try TimestepFold(of: result.checkpoint, constants: fold).checkpoint
    }
    return result
  }

  /// The data's standard deviation: the user's, or the file's.
  private func sigmaData(of checkpoint: any CheckpointReader) throws -> Double {
    try sigmaData ?? Self.sigmaData(of: checkpoint)
  }

  /// The data's standard deviation as a file states it.
  package static func sigmaData(of checkpoint: any CheckpointReader) throws -> Double {
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
  package struct Prepared {
    package fileprivate(set) var checkpoint: any CheckpointReader
    package fileprivate(set) var modules: [AdapterMerge.Module] = []
    /// What golden samples are made of; nil where none are asked for.
    package fileprivate(set) var generator: Generator?
  }

  /// A generator before it is folded.
  package struct Generator {
    let checkpoint: any CheckpointReader
    let constants: SigmaFold.Constants
    let samples: Int

    /// The golden samples as a file beside this output.
    package func goldenFile(beside output: String) throws -> CompanionFile {
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
