import Synchronization
import TesseraCore
import Testing

/// Counts how many elements are between their start and their consumption.
private final class InFlight: Sendable {
  private let counts = Mutex((now: 0, most: 0))

  func enter() {
    counts.withLock { counts in
      counts.now += 1
      counts.most = max(counts.most, counts.now)
    }
  }

  func leave() { counts.withLock { $0.now -= 1 } }

  var most: Int { counts.withLock { $0.most } }
}

@Suite struct MapInOrderTests {
  @Test(arguments: [1, 2, 5])
  func `results arrive in order and no more than the width is in flight`(width: Int) async throws {
    let flight = InFlight()
    var results: [Int] = []
    try await (0..<50).mapInOrder(width: width) { number in
      flight.enter()
      for _ in 0..<(number * 7 % 11) { await Task.yield() }
      return number
    } consume: { number in
      flight.leave()
      results.append(number)
    }
    #expect(results == Array(0..<50))
    #expect(flight.most <= width)
  }

  @Test func `the first error ends it`() async throws {
    struct Refusal: Error, Equatable {}
    var results: [Int] = []
    await #expect(throws: Refusal()) {
      try await (0..<1000).mapInOrder(width: 2) { number in
        if number == 5 { throw Refusal() }
        return number
      } consume: { number in
        results.append(number)
      }
    }
    #expect(results.count <= 5)
  }
}
