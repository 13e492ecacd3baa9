internal import CKernels
package import TesseraCore

/// A network ready to run: a graph and its weights, packed for the kernels.
///
/// It is immutable and shared by all tasks; what a run needs beside it is a `NetworkWorkspace`. The same
/// input gives the same bits for any number of tasks, any order of images and any `InstructionSet`. Against
/// PyTorch in float32 the output differs by rounding only: 3x3 convolutions run as Winograd's F(4x4, 3x3),
/// whose root mean square error is about 3e-6 of the output's deviation.
package struct ConvolutionalNetwork: Sendable {
  /// The layers.
  package let graph: NetworkGraph
  let plan: NetworkPlan
  let storage: PackedParameters

  /// Packs the weights of a graph.
  ///
  /// - Parameters:
  ///   - graph: The layers.
  ///   - parameter: Gives a tensor of that name as float32, row-major, or nil where there is none. It is
  ///     asked once for each of the graph's parameters, and its own errors pass through.
  /// - Throws: `missingParameter`, `misshapenParameter` or `wrongCount`, naming tensor and expected shape.
  package init(
    _ graph: NetworkGraph,
    parameter: (_ name: String) throws -> (shape: Shape, values: [Float])?
  ) throws {
    self.graph = graph
    plan = NetworkPlan(graph)
    storage = PackedParameters(count: plan.parameterCount)
    func values(_ wanted: NetworkParameter) throws -> [Float] {
      try wanted.values(of: parameter(wanted.name))
    }
    for step in plan.steps {
      switch step.operation {
      case .convolve(let planned, _, _):
        let parameters = planned.convolution.parameters
        storage.pack(planned.arranged(try values(parameters[0])), for: planned)
        if parameters.count > 1 {
          storage.copy(planned.arranged(biases: try values(parameters[1])), to: planned.bias)
        }
      case .normalize(let planned):
        let channels = planned.layer.channels
        let parameters = planned.layer.parameters
        // Gain and bias of an adaptive normalization come from the condition, image by image.
        guard !parameters.isEmpty else {
          storage.copy([Float](repeating: 1, count: channels), to: planned.gain)
          continue
        }
        storage.copy(try values(parameters[0]), to: planned.gain)
        storage.copy(try values(parameters[1]), to: planned.bias)
      case .scale(let planned):
        let parameters = planned.layer.parameters
        storage.copy(try values(parameters[0]), to: planned.gain)
        storage.copy(try values(parameters[1]), to: planned.bias)
      case .depthToSpace, .summarize, .activate, .pool, .upsample, .attend, .copy, .add: break
      }
    }
  }
}

extension NetworkParameter {
  /// The values of a tensor, if it is the one that is wanted.
  fileprivate func values(
    of tensor: (shape: Shape, values: [Float])?
  ) throws(TesseraError) -> [Float] {
    guard let tensor else { throw .missingParameter(name: name, expected: shape) }
    guard tensor.shape == shape else {
      throw .misshapenParameter(name: name, shape: tensor.shape, expected: shape)
    }
    guard let count = shape.elementCount, tensor.values.count == count else {
      let expected = shape.elementCount ?? 0
      throw .wrongCount(name: name, count: tensor.values.count, expected: expected)
    }
    return tensor.values
  }
}

/// The packed parameters of a network: written while it is built, then only read.
final class PackedParameters: Sendable {
  private let floats: AlignedFloats

  init(count: Int) { floats = AlignedFloats(count: count) }

  /// The address of the first float.
  var base: UnsafePointer<Float> { unsafe UnsafePointer(floats.base) }

  fileprivate func copy(_ values: [Float], to offset: Int) {
    precondition(offset + values.count <= floats.count)
    unsafe values.withUnsafeBufferPointer { source in
      guard let address = source.baseAddress else { return }
      unsafe (floats.base + offset).update(from: address, count: source.count)
    }
  }

  fileprivate func pack(_ values: [Float], for planned: PlannedConvolution) {
    let (output, input) = (planned.filters, planned.convolution.inputChannels)
    let packed = unsafe floats.base + planned.weights
    precondition(planned.end <= floats.count)
    unsafe values.withUnsafeBufferPointer { source in
      switch planned.kernel {
      case .pointwise: unsafe ckernels_pack_direct(output, input, 1, source.baseAddress, packed)
      case .direct(let extent, _, _):
        unsafe ckernels_pack_direct(output, input, extent * extent, source.baseAddress, packed)
      case .winograd: unsafe ckernels_pack_winograd(output, input, source.baseAddress, packed)
      }
    }
  }
}
