import TesseraCheckpoints
import TesseraCore

extension KerasFlow {
  /// What a layer's weights must be brought into.
  ///
  /// - Throws: `TesseraError` where no description says how the layer is reached, and what it takes may come
  ///   out of a Flatten behind convolutions.
  func input(of layer: KerasLayer) throws(TesseraError) -> Input {
    let known = inputs[KerasFlow.path(of: layer)]
    let place = layer.path.joined(separator: ".")
    if isDescribed, layer.configuration.isEmpty {
      let cause =
        "stands in a layer or wrapper whose parts the model's description does not state, so that its "
        + "class would be guessed; convert without --to torch or keras, which keeps everything as it is"
      throw TesseraError.mismatch(cause, place: place)
    }
    if let known { return known }
    if layer.className == "LayerNormalization", layer.scaleRank > 1 {
      let cause =
        "LayerNormalization: scales several axes, and no description of the model says which; convert "
        + "the model's .keras file or whole .h5"
      throw TesseraError.mismatch(cause, place: place)
    }
    let projections = ["Dense", "EinsumDense", "LSTM", "GRU", "SimpleRNN"]
    guard projections.contains(layer.className), let kernel = layer["kernel"],
      kernel.shape.rank == 2
    else { return .asIs }
    let channels = convolutionChannels
    let isFlat = channels.out.contains { isMultiple(kernel.shape[0], of: $0) }
    let isGrid =
      layer.className.hasSuffix("Dense")
      && channels.in.contains { isMultiple(kernel.shape[1], of: $0) }
    guard isFlat || isGrid else { return .asIs }
    let (count, what) =
      isFlat
      ? (kernel.shape[0], "inputs may come out of a Flatten")
      : (kernel.shape[1], "outputs may go into a Reshape")
    let cause =
      "\(layer.className): its \(count) \(what) of channels and positions, which PyTorch orders "
      + "otherwise, and no description of the model says so; convert the model's .keras file or whole .h5"
    throw TesseraError.mismatch(cause, place: place)
  }

  private func isMultiple(_ count: Int, of channels: Int) -> Bool {
    channels > 1 && count > channels && count % channels == 0
  }

  /// The channels that the model's convolutions take and give.
  private var convolutionChannels: (in: Set<Int>, out: Set<Int>) {
    var (taken, given): (Set<Int>, Set<Int>) = ([], [])
    for layer in weights.values.joined() where layer.className.contains("Conv") {
      guard let kernel = layer["kernel"] ?? layer["depthwise_kernel"], kernel.shape.rank >= 3 else {
        continue
      }
      let (a, b) = (kernel.shape[kernel.shape.rank - 2], kernel.shape[kernel.shape.rank - 1])
      let isTransposed = layer.className.hasSuffix("Transpose")
      taken.insert(isTransposed ? b : a)
      if let pointwise = layer["pointwise_kernel"] {
        given.insert(pointwise.shape.dimensions.last ?? 0)
      } else if layer.className.hasPrefix("Depthwise") {
        given.insert(a.multipliedReportingOverflow(by: b).partialValue)
      } else {
        given.insert(isTransposed ? a : b)
      }
    }
    return (taken, given)
  }
}
