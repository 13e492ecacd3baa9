package import TesseraCheckpoints
package import TesseraCore
import TesseraRules

/// Latents and what a generator makes of them, to check a later port of it with: `convert --golden`.
///
/// Never rely on the random numbers of a library to be the same elsewhere: the latents are stored.
package struct GoldenSamples: Sendable {
  /// z ~ N(0, 1): [samples, channels, height, width].
  package let latents: [Float]
  /// G(z) = D(σ z; σ) of the unfolded network, computed in float64 and rounded once.
  package let outputs: [Float]
  /// The class label of each sample; empty for a network without labels.
  package let labels: [Int64]
  /// The extents of both arrays.
  package let shape: Shape
  private let metadata: [String: String]

  /// The most samples, and the most elements of an array of them.
  package static let limits = (samples: 4096, elements: 1 << 26)

  /// Draws latents and evaluates a generator with them.
  ///
  /// The labels of a conditional network follow one another: 0, 1, 2, …
  ///
  /// - Parameters:
  ///   - base: The generator's weights before they are folded, under EDM's names.
  ///   - constants: The noise level and the data's standard deviation.
  ///   - count: The number of samples.
  ///   - seed: Which latents are drawn.
  /// - Throws: `TesseraError` where the network is none of EDM's, or a result is not finite; what the
  ///   reader throws.
  package init(
    of base: any CheckpointReader,
    constants: SigmaFold.Constants,
    count: Int,
    seed: UInt64 = 0
  ) throws {
    let network = try GeneratorEvaluation(of: base, constants: constants)
    let (side, channels) = (network.resolution, network.channels)
    let size = channels * side * side
    guard count > 0, count <= GoldenSamples.limits.samples, size > 0,
      count <= GoldenSamples.limits.elements / size
    else {
      let cause =
        "\(count) samples of \(channels) x \(side) x \(side); at most \(GoldenSamples.limits.samples) "
        + "samples of \(GoldenSamples.limits.elements) values together are made"
      throw TesseraError.limit(cause)
    }
    var (latents, outputs): ([Float], [Float]) = ([], [])
    for index in 0..<count {
      let drawn = NormalNumbers(seed: seed, sample: UInt64(index)).first(size)
      let label = network.labels == 0 ? 0 : index % network.labels
      latents += drawn
      outputs += try network.generated(drawn, label: label, constants)
    }
    guard outputs.allSatisfy(\.isFinite) else {
      let cause = "the generator's output is not finite; its weights are damaged, or overflow"
      throw TesseraError.limit(cause)
    }
    (self.latents, self.outputs) = (latents, outputs)
    labels =
      network.labels == 0 ? [] : (0..<count).map { Int64($0 % network.labels) }
    shape = [count, channels, side, side]
    metadata = [
      "tessera.golden.sigma": "\(constants.sigma)",
      "tessera.golden.sigma_data": "\(constants.sigmaData)",
      "tessera.golden.rule": "outputs = D(sigma latents; sigma), EDM's preconditioning, float64",
      "tessera.golden.seed": "\(seed)",
    ]
  }

  /// The samples as the bytes of a safetensors file: `latents`, `outputs`, and `labels` where there
  /// are some.
  ///
  /// - Throws: What the layout throws.
  package func file(toolVersion: String) throws -> [UInt8] {
    var tensors = [
      "latents": Tensor(shape: shape, floats: latents),
      "outputs": Tensor(shape: shape, floats: outputs),
    ]
    if !labels.isEmpty {
      tensors["labels"] = Tensor(shape: [labels.count], elements: labels)
    }
    let layout = try SafetensorsLayout(
      tensors: tensors.map { name, tensor in
        TensorInfo(name: name, elementType: tensor.elementType, shape: tensor.shape)
      },
      metadata: metadata.merging(["tessera.version": toolVersion]) { own, _ in own }
    )
    var bytes = layout.header
    for entry in layout.entries {
      guard let tensor = tensors[entry.tensor.name] else { continue }
      bytes += [UInt8](repeating: 0, count: entry.bytes.lowerBound - bytes.count)
      bytes += tensor.bytes
    }
    return bytes
  }
}

/// Numbers of the normal distribution by Marsaglia's polar method: logarithms and roots alone, so that
/// they are the same on every machine.
private struct NormalNumbers {
  let seed: UInt64
  let sample: UInt64

  func first(_ count: Int) -> [Float] {
    let random = CounterRandom(seed: seed, sample: sample)
    var result: [Float] = []
    result.reserveCapacity(count + 1)
    var position: UInt32 = 0
    while result.count < count {
      let words = random.words(block: 0, position: position)
      position += 1
      for pair in [(words[0], words[1]), (words[2], words[3])] {
        let (x, y) = (uniform(pair.0), uniform(pair.1))
        let square = x * x + y * y
        guard square < 1 else { continue }
        let factor = (-2 * ElementaryFunctions.log(square) / square).squareRoot()
        result += [Float(x * factor), Float(y * factor)]
      }
    }
    return Array(result.prefix(count))
  }

  /// Between -1 and 1, never 0.
  private func uniform(_ word: UInt32) -> Double { (Double(word) + 0.5) * 0x1p-31 - 1 }
}
