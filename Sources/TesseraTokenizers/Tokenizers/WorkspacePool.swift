internal import Synchronization

/// The working memory of encoders or decoders that rest, for whichever task comes next.
///
/// At most `limit` rest, so tasks over images of many sizes do not hold on to all of them.
final class WorkspacePool: Sendable {
  /// A workspace and the array that its input is made in.
  struct Scratch: Sendable {
    let workspace: NetworkWorkspace
    var input: [Float]
  }

  private let network: ConvolutionalNetwork
  private let limit: Int
  private let resting = Mutex<[Scratch]>([])

  init(_ network: ConvolutionalNetwork, limit: Int) {
    (self.network, self.limit) = (network, limit)
  }

  /// Runs `body` with a workspace for inputs of this size that nobody else uses meanwhile.
  func withScratch<Result>(
    height: Int,
    width: Int,
    _ body: (inout Scratch) throws -> Result
  ) throws -> Result {
    let rested = resting.withLock { resting -> Scratch? in
      let index = resting.lastIndex {
        $0.workspace.height == height && $0.workspace.width == width
      }
      return index.map { resting.remove(at: $0) }
    }
    var scratch: Scratch
    if let rested {
      scratch = rested
    } else {
      let workspace = try NetworkWorkspace(network, height: height, width: width)
      let input = [Float](repeating: 0, count: workspace.inputCount)
      scratch = Scratch(workspace: workspace, input: input)
    }
    let result = try body(&scratch)
    resting.withLock { resting in
      if resting.count >= limit { resting.removeFirst() }
      resting.append(scratch)
    }
    return result
  }
}
