package import TesseraCheckpoints
import TesseraCore
package import TesseraRules

/// A one-step generator of the EDM kind, folded at the one noise level where it runs.
///
/// EDM (Karras et al., arXiv 2206.00364) evaluates D(x; σ) = c_skip x + c_out F(c_in x; c_noise); a
/// distilled generator (SiD, arXiv 2404.04057) is G(z) = D(σ z; σ) at one σ. There the embedding of the
/// noise level is a constant: the layers that make it go, each block's affine layer keeps its result, and
/// c_in σ and c_out enter the first and last convolutions. What stays is one addition, stored as metadata:
/// G(z) = F'(z) + skip z with z ~ N(0, 1) and skip = c_skip σ.
package struct SigmaFold: Sendable {
  /// The constants of the preconditioning at one σ.
  package struct Constants: Sendable, Hashable {
    /// The noise level.
    package let sigma: Double
    /// The standard deviation of the data.
    package let sigmaData: Double
    /// σ_data² / (σ² + σ_data²).
    package var skip: Double { sigmaData * sigmaData / square }
    /// σ σ_data / sqrt(σ² + σ_data²).
    package var output: Double { sigma * sigmaData / square.squareRoot() }
    /// 1 / sqrt(σ² + σ_data²).
    package var input: Double { 1 / square.squareRoot() }

    private var square: Double { sigma * sigma + sigmaData * sigmaData }

    /// Creates constants.
    package init(sigma: Double, sigmaData: Double) {
      (self.sigma, self.sigmaData) = (sigma, sigmaData)
    }
  }

  /// The folded weights; metadata `tessera.fold.sigma` and `tessera.fold.skip` say what is left to do.
  package let checkpoint: ComputedCheckpoint
  /// The constants that were folded.
  package let constants: Constants
  /// The number of class labels whose embeddings became tables; 0 for a network without labels.
  package let labels: Int

  /// Folds the weights of a SongUNet (DDPM++, NCSN++) or DhariwalUNet (ADM).
  ///
  /// `X.affine.weight` and `.bias` become `X.affine.bias`, or with labels `X.affine.table`
  /// [labels, channels].
  ///
  /// - Parameters:
  ///   - base: The generator's weights alone, under EDM's names.
  ///   - constants: σ and σ_data, both positive.
  /// - Throws: `TesseraError` where the names are not EDM's or σ is out of range; what the reader throws.
  package init(of base: any CheckpointReader, constants: Constants) throws {
    guard constants.sigma > 0, constants.sigma.isFinite, constants.sigmaData > 0,
      constants.sigmaData.isFinite, constants.input > 0, constants.input.isFinite
    else {
      let cause =
        "sigma \(constants.sigma) and sigma_data \(constants.sigmaData) must be positive, and so must "
        + "the sum of their squares in float64"
      throw TesseraError.limit(cause)
    }
    let network = try NoiseConditionedNetwork(base)
    let embedding = try NoiseEmbedding(of: network, noise: constants.noise)
    var computed: [ComputedTensor] = []
    for tensor in network.firstConvolutions {
      computed.append(base.scaled(tensor, by: constants.input * constants.sigma))
    }
    for tensor in network.lastConvolutions {
      computed.append(base.scaled(tensor, by: constants.output))
    }
    for affine in network.affines { computed.append(try embedding.folded(affine)) }
    let removed = network.embeddingNames.union(
      network.affines.flatMap { affine in
        embedding.labels == 0 ? [affine.weight.name] : [affine.weight.name, affine.bias.name]
      }
    )
    self.constants = constants
    labels = embedding.labels
    let skip = constants.skip * constants.sigma
    checkpoint = try ComputedCheckpoint(
      base,
      computing: computed,
      removing: removed,
      attributes: [
        "tessera.fold.sigma": "\(constants.sigma)", "tessera.fold.skip": "\(skip)",
        "tessera.fold.sigma_data": "\(constants.sigmaData)",
        "tessera.fold.c_in": "\(constants.input)", "tessera.fold.c_out": "\(constants.output)",
      ],
      notes: [
        "folded at sigma \(constants.sigma): output = network(z) + \(skip) z for z ~ N(0, 1); "
          + "not reversible"
      ]
    )
  }
}

extension SigmaFold.Constants {
  /// ln(σ) / 4: what the embedding is made of.
  var noise: Double { ElementaryFunctions.log(sigma) / 4 }
}
