internal import CKernels
internal import Synchronization
package import TesseraCore

/// The working memory of one run of a network at one size, reused from image to image.
///
/// Make one for each worker: nothing is allocated while an image runs. Runs on one workspace from several
/// tasks take turns.
package final class NetworkWorkspace: Sendable {
  /// The network that it runs.
  package let network: ConvolutionalNetwork
  /// The input's number of rows.
  package let height: Int
  /// The input's number of columns.
  package let width: Int
  /// The output's number of rows.
  package let outputHeight: Int
  /// The output's number of columns.
  package let outputWidth: Int
  /// The instructions that it computes with.
  package let instructions: InstructionSet
  private let layout: WorkspaceLayout
  private let memory: Mutex<AlignedFloats>

  /// Allocates the memory for inputs of `height` x `width` positions.
  ///
  /// - Parameters:
  ///   - network: The network to run.
  ///   - height: The input's number of rows, a multiple of the graph's `inputMultiple`.
  ///   - width: The input's number of columns, likewise.
  ///   - instructions: The instructions to compute with; the best there are unless kernels are compared.
  ///   - memoryLimit: The most that may be allocated, in bytes.
  /// - Throws: `extents`, or `memory` where the limit does not suffice.
  package init(
    _ network: ConvolutionalNetwork,
    height: Int,
    width: Int,
    instructions: InstructionSet = .best,
    memoryLimit: Int = 16 << 30
  ) throws(TesseraError) {
    precondition(instructions.isSupported, "this processor has no \(instructions.rawValue)")
    let graph = network.graph
    (outputHeight, outputWidth) = try graph.outputExtents(height: height, width: width)
    (self.network, self.height, self.width) = (network, height, width)
    self.instructions = instructions
    let layout = WorkspaceLayout(network.plan, of: graph, height: height, width: width)
    guard layout.count <= memoryLimit / MemoryLayout<Float>.stride else {
      throw .memory(height: height, width: width, limit: memoryLimit)
    }
    self.layout = layout
    memory = Mutex(AlignedFloats(count: layout.count))
  }

  /// The number of values of an input, [height, width, channels].
  package var inputCount: Int { height * width * network.graph.inputChannels }

  /// The number of values of an output, [outputHeight, outputWidth, channels].
  package var outputCount: Int { outputHeight * outputWidth * network.graph.outputChannels }

  /// The working memory in bytes.
  package var byteCount: Int { layout.count * MemoryLayout<Float>.stride }

  /// Runs the network on one image.
  ///
  /// - Parameters:
  ///   - input: Channels last, [height, width, channels].
  ///   - output: Becomes [outputHeight, outputWidth, channels], channels last; reallocated only where it
  ///     has another size.
  /// - Throws: `inputCount` where the input has another size.
  package func run(_ input: [Float], into output: inout [Float]) throws(TesseraError) {
    try run(input, into: &output) { _, work in work() }
  }

  /// Runs the network, with every step under the hands of `observe`; nil stands for changes of layout.
  func run(
    _ input: [Float],
    into output: inout [Float],
    observe: (PreparedStep?, () -> Void) -> Void
  ) throws(TesseraError) {
    guard input.count == inputCount else {
      throw .inputCount(count: input.count, expected: inputCount)
    }
    if output.count != outputCount { output = [Float](repeating: 0, count: outputCount) }
    memory.withLock { memory in
      unsafe input.withUnsafeBufferPointer { input in
        unsafe output.withUnsafeMutableBufferPointer { output in
          guard let source = input.baseAddress, let target = output.baseAddress else { return }
          let execution = unsafe NetworkExecution(
            instructions: instructions.kernels,
            graph: network.graph,
            parameters: network.storage.base,
            memory: memory.base,
            layout: layout
          )
          observe(nil) { unsafe execution.load(source, height: height, width: width) }
          for step in layout.steps { observe(step) { execution.perform(step) } }
          observe(nil) {
            unsafe execution.unload(
              network.plan.current,
              to: target,
              height: outputHeight,
              width: outputWidth
            )
          }
        }
      }
    }
  }
}
