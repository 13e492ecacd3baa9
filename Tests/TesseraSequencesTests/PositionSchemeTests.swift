import Fixtures
import Foundation
import TesseraCore
import TesseraSequences
import Testing

/// A document with ids by another implementation (fixtures/positions/README.md).
struct PositionCase: Decodable, Sendable, CustomTestStringConvertible {
  let scheme: PositionScheme.Name
  let segments: [Segment]
  let ids: [[Double]]
  let next: Int
  let stride: Int?

  var testDescription: String { "\(scheme.rawValue), \(segments.count) segments" }

  static func all() throws -> [PositionCase] {
    let json = try Data(contentsOf: URL(filePath: Fixtures.path("positions/documents.json")))
    return try JSONDecoder().decode([PositionCase].self, from: json)
  }
}

@Suite struct PositionSchemeTests {
  /// The ids of a document under a scheme without options.
  func positions(_ name: PositionScheme.Name, _ segments: [Segment]) throws -> PositionIds {
    try PositionScheme(name).positions(of: segments)
  }

  @Test(arguments: try PositionCase.all())
  func `ids equal the reference's`(golden: PositionCase) throws {
    let scheme = try PositionScheme(golden.scheme, stride: golden.stride)
    let positions = try scheme.positions(of: golden.segments)
    #expect(positions.axes.count == golden.ids.count)
    #expect(positions.next == golden.next)
    #expect(positions.delta == golden.next - golden.ids[0].count)
    #expect(positions.tensor.elementType == (golden.scheme.isFractional ? .float32 : .int32))
    for (axis, ids) in golden.ids.enumerated() {
      // float32 rounds thirds; nothing else differs.
      #expect(positions.ids(axis: axis).map { Float($0) } == ids.map { Float($0) })
    }
  }

  /// Alone, behind and before others, beside a video: every axis that the document has alone is the same.
  @Test(arguments: PositionScheme.Name.allCases)
  func `a document's ids do not depend on the others of its pack`(
    name: PositionScheme.Name
  ) throws {
    let scheme = try PositionScheme(name, stride: name == .v2pe ? 4 : nil)
    var documents: [[Segment]] = [
      [.text(1), .image(height: 2, width: 2), .text(1)], [.text(3)],
      [.image(height: 3, width: 5), .text(2), .image(height: 1, width: 4)],
    ]
    if ![.rope2d, .v2pe, .glmImage].contains(name) {
      documents.append([
        .text(2), .video(frames: 2, height: 2, width: 3, secondsPerGrid: 0.5),
        .image(height: 2, width: 2), .text(1),
      ])
    }
    let alone = try documents.map { try scheme.positions(of: $0) }
    for order in [Array(documents.indices), documents.indices.reversed()] {
      for count in 1...documents.count {
        let members = Array(order.prefix(count))
        let pack = try scheme.positions(ofPack: members.map { documents[$0] })
        var start = 0
        for member in members {
          let own = alone[member]
          for axis in own.axes.indices {
            #expect(pack.axes[axis] == own.axes[axis])
            let found = pack.ids(axis: axis)[start..<start + own.tokens]
            #expect(Array(found) == own.ids(axis: axis), "\(name) \(members) \(member)")
          }
          start += own.tokens
        }
        #expect(pack.next == alone[members[count - 1]].next)
      }
    }
  }

  /// A grid without a moment of its own stands halfway between the texts around it.
  @Test func `another document's video gives an image one moment`() throws {
    let image: [Segment] = [.text(1), .image(height: 2, width: 2), .text(1)]
    let video: [Segment] = [.video(frames: 1, height: 1, width: 1, secondsPerGrid: nil)]
    for (name, time) in [(PositionScheme.Name.tie, 5.0), (.tieFractional, 3.5), (.tv, 3.5)] {
      let pack = try PositionScheme(name).positions(ofPack: [image, video])
      #expect(Array(pack.ids(axis: 2)[1..<5]) == [Double](repeating: time, count: 4))
    }
  }

  @Test func `text around an image in M-RoPE`() throws {
    // transformers 5.23, Qwen2-VL: 2 text, BOI, a 2x3 grid, EOI, 2 text.
    let positions = try positions(.mrope, [.text(3), .image(height: 2, width: 3), .text(3)])
    #expect(positions.axes == ["t", "h", "w"])
    #expect(positions.ids(axis: 0) == [0, 1, 2, 3, 3, 3, 3, 3, 3, 6, 7, 8])
    #expect(positions.ids(axis: 1) == [0, 1, 2, 3, 3, 3, 4, 4, 4, 6, 7, 8])
    #expect(positions.ids(axis: 2) == [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8])
    #expect(positions.delta == -3)
  }

  @Test func `the posts' image between sentences`() throws {
    // RoPE-Tie: s = w+1 = 4, t = h+1 = 3, K = L + 12; the gaps before and after are equal.
    let positions = try positions(.tie, [.text(2), .image(height: 2, width: 3), .text(1)])
    #expect(positions.axes == ["row", "column"])
    #expect(positions.ids(axis: 0) == [1, 2, 6, 6, 6, 10, 10, 10, 14])
    #expect(positions.ids(axis: 1) == [1, 2, 5, 8, 11, 5, 8, 11, 14])
  }

  @Test func `a scheme's own origin can be replaced`() throws {
    let scheme = try PositionScheme(.tie, origin: 0)
    #expect(try scheme.positions(of: [.text(3)]).ids(axis: 1) == [0, 1, 2])
    let shifted = try PositionScheme(.rope2d, origin: 1)
    let positions = try shifted.positions(of: [.text(1), .image(height: 1, width: 2)])
    #expect(positions.ids(axis: 0) == [0, 1, 1])
    #expect(positions.ids(axis: 1) == [0, 1, 2])
  }

  @Test func `an image alone starts at the origin`() throws {
    let positions = try PositionScheme(.mrope).positions(forImageHeight: 2, width: 2)
    #expect(positions.tensor.shape == [3, 4])
    #expect(positions.tensor.elements(as: Int32.self) == [0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 0, 1])
    #expect(positions.next == 2)
  }

  @Test func `what a scheme does not define is refused`() throws {
    let video = Segment.video(frames: 2, height: 2, width: 2, secondsPerGrid: nil)
    #expect(throws: TesseraError.self) { try positions(.rope2d, [video]) }
    #expect(throws: TesseraError.self) { try positions(.mropeTime, [video]) }
    #expect(throws: TesseraError.self) { try PositionScheme(.v2pe) }
    #expect(throws: TesseraError.self) { try PositionScheme(.tie, stride: 2) }
    #expect(throws: TesseraError.self) { try PositionScheme(.mropeTime, tokensPerSecond: 0) }
    #expect(throws: TesseraError.self) { try PositionScheme(.mrope, origin: 1 << 31) }
  }

  @Test func `ids beyond their type are refused`() throws {
    let late = try PositionScheme(.mrope, origin: Int(Int32.max))
    let last = #expect(throws: TesseraError.self) { try late.positions(of: [.text(1)]) }
    #expect(last?.kind == .numericLimit)
    let fractional = try PositionScheme(.tv, origin: 1 << 23)
    #expect(throws: TesseraError.self) { try fractional.positions(of: [.text(1)]) }
    let fast = try PositionScheme(.mropeTime, tokensPerSecond: 1e30)
    #expect(throws: TesseraError.self) {
      try fast.positions(of: [.video(frames: 2, height: 1, width: 1, secondsPerGrid: 1)])
    }
    #expect(throws: TesseraError.self) {
      try positions(.rope1d, [.image(height: .max, width: .max), .text(1)])
    }
    #expect(throws: TesseraError.self) { try positions(.rope1d, [.text(1 << 24), .text(1)]) }
  }
}

@Suite struct SegmentTests {
  @Test func `every kind of segment is read and written`() throws {
    let lines = """
      {"text": 4}

      {"image": [2, 3]}
      {"video": [4, 2, 3], "seconds_per_grid": 0.5}
      {"video": [1, 1, 1]}
      """
    let segments = try [Segment](parsing: Array(lines.utf8))
    #expect(
      segments == [
        .text(4), .image(height: 2, width: 3),
        .video(frames: 4, height: 2, width: 3, secondsPerGrid: 0.5),
        .video(frames: 1, height: 1, width: 1, secondsPerGrid: nil),
      ]
    )
    for segment in segments {
      let json = try JSONEncoder().encode(segment)
      #expect(try JSONDecoder().decode(Segment.self, from: json) == segment)
    }
  }

  @Test(arguments: [
    "{}", "{\"text\": -1}", "{\"text\": 1.5}", "{\"text\": \"1\"}",
    "{\"text\": 1, \"image\": [1, 1]}",
    "{\"image\": [1]}", "{\"image\": [0, 1]}", "{\"image\": [1, 1, 1]}", "{\"image\": 3}",
    "{\"video\": [1, 1]}", "{\"video\": [1, 1, 1], \"seconds_per_grid\": 0}",
    "{\"image\": [1, 1], \"seconds_per_grid\": 1}", "{\"sound\": 3}", "[1, 2]", "text", "\u{0}",
  ])
  func `a line that is no segment is named by its number`(line: String) {
    let error = #expect(throws: TesseraError.self) {
      try [Segment](parsing: Array("{\"text\": 1}\n\(line)\n".utf8))
    }
    #expect(error?.description.hasPrefix("line 2: ") == true)
    #expect(error?.kind == .malformedInput)
  }

  @Test func `a file without segments is refused`() {
    #expect(throws: TesseraError.self) { try [Segment](parsing: Array("\n \n".utf8)) }
  }
}
