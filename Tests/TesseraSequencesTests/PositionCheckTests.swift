import TesseraCore
import TesseraSequences
import Testing

@Suite struct PositionPackTests {
  @Test func `each document of a pack starts at the origin`() throws {
    let documents: [[Segment]] = [
      [.text(2), .image(height: 2, width: 2)], [.text(1), .image(height: 1, width: 2), .text(1)],
    ]
    let positions = try PositionScheme(.mrope).positions(ofPack: documents, withTextAxis: true)
    #expect(positions.axes == ["text", "t", "h", "w"])
    #expect(positions.documents == [6, 4])
    #expect(positions.tensor.shape == [4, 10])
    #expect(positions.ids(axis: 0) == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3])
    #expect(positions.ids(axis: 3) == [0, 1, 2, 3, 2, 3, 0, 1, 2, 3])
    #expect(positions.next == 4 && positions.delta == 0)
  }

  @Test func `a video in one document gives every document its axis`() throws {
    let video = Segment.video(frames: 2, height: 1, width: 1, secondsPerGrid: nil)
    let positions = try PositionScheme(.tv).positions(ofPack: [[.text(1)], [video]])
    #expect(positions.axes == ["row", "column", "time"])
    // N = 2: a centre of half a step on the axes of one row and one column.
    #expect(positions.ids(axis: 0) == [1, 1.5, 1.5])
    #expect(positions.ids(axis: 2) == [1, 1, 2])
  }

  @Test func `a preview and a target in GLM-Image's two grids`() throws {
    let positions = try PositionScheme(.glmImage).positions(of: [
      .text(3), .image(height: 1, width: 2), .image(height: 2, width: 2), .text(1),
    ])
    #expect(positions.ids(axis: 0) == [0, 1, 2, 3, 3, 5, 5, 5, 5, 7])
    #expect(positions.ids(axis: 1) == [0, 1, 2, 3, 3, 5, 5, 6, 6, 7])
    let video = Segment.video(frames: 2, height: 1, width: 1, secondsPerGrid: nil)
    #expect(throws: TesseraError.self) { try PositionScheme(.glmImage).positions(of: [video]) }
  }

  @Test func `a line may be a document`() throws {
    let lines = "[{\"text\": 1}, {\"image\": [1, 2]}]\n\n[{\"text\": 2}]\n"
    let documents = try SegmentFile.documents(parsing: Array(lines.utf8))
    #expect(documents == [[.text(1), .image(height: 1, width: 2)], [.text(2)]])
    let mixed = #expect(throws: TesseraError.self) {
      try SegmentFile.documents(parsing: Array("{\"text\": 1}\n[{\"text\": 1}]".utf8))
    }
    #expect(mixed?.description.hasPrefix("line 2: ") == true)
  }
}

@Suite struct PositionCheckTests {
  @Test(arguments: [PositionScheme.Name.tv, .tie, .tieFractional, .mrope, .rope2d])
  func `what the schemes promise is found`(name: PositionScheme.Name) throws {
    var promised = Set(PositionCheck.Property.allCases)
    switch name {
    case .tie: promised.remove(.equivalence)
    case .tieFractional: promised.remove(.exactness)
    case .mrope: promised.subtract([.symmetry, .equivalence])
    case .rope2d: promised = [.exactness]
    default: break
    }
    let scheme = try PositionScheme(name)
    let check = try PositionCheck(scheme, documents: PositionCheck.documents(for: scheme))
    #expect(Set(check.findings.filter(\.value.holds).keys) == promised)
  }

  @Test func `a counterexample names its place`() throws {
    let scheme = try PositionScheme(.mrope)
    let check = try PositionCheck(
      scheme,
      documents: [[.text(1), .image(height: 2, width: 1), .text(1)]]
    )
    let symmetry = try #require(check.findings[.symmetry]?.counterexample)
    #expect(symmetry == "segment 2, axis 0: a step of 1 in, 2 out")
    #expect(check.maximum == 3 && check.span == 4)
  }
}

@Suite struct RotaryTableTests {
  @Test func `layouts share the frequencies`() throws {
    let chunked = try RotaryTable(.chunked, headDimension: 8, base: 16, sections: [2, 1, 1])
    #expect(chunked.axis == [0, 0, 1, 2])
    #expect(chunked.inverseFrequencies == [1, 0.5, 0.25, 0.125])
    let interleaved = try RotaryTable(
      .interleaved,
      headDimension: 16,
      base: 16,
      sections: [4, 2, 2]
    )
    #expect(interleaved.axis == [0, 1, 2, 0, 1, 2, 0, 0])
    let alternating = try RotaryTable(.alternating, headDimension: 12, base: 16, sections: nil)
    #expect(alternating.axis == [0, 1, 0, 1, 0, 1])
    let unequal = try RotaryTable(.alternating, headDimension: 12, base: 16, sections: [1, 4, 1])
    #expect(unequal.axis == [0, 1, 2, 1, 1, 1])
    let split = try RotaryTable(.split, headDimension: 8, base: 16, sections: nil)
    #expect(split.axis == [0, 0, 1, 1])
    #expect(split.inverseFrequencies == [1, 0.25, 1, 0.25])
  }

  @Test func `sections that do not fit are refused`() {
    let cases: [(RotaryTable.Layout, [Int])] = [
      (.chunked, [2, 1]), (.interleaved, [1, 2, 1]), (.split, [0, 4]), (.alternating, [-1, 5]),
    ]
    for (layout, sections) in cases {
      #expect(throws: TesseraError.self) {
        try RotaryTable(layout, headDimension: 8, base: 10, sections: sections)
      }
    }
    #expect(throws: TesseraError.self) {
      try RotaryTable(.chunked, headDimension: 8, base: 10, sections: nil)
    }
  }

  @Test func `the text axis turns nothing`() throws {
    let table = try RotaryTable(.alternating, headDimension: 4, base: 100, sections: nil)
    let scheme = try PositionScheme(.tv)
    let document: [Segment] = [.text(2), .image(height: 1, width: 2)]
    let plain = try table.angles(of: scheme.positions(of: document))
    let packed = try table.angles(of: scheme.positions(ofPack: [document], withTextAxis: true))
    #expect(plain.cos == packed.cos && plain.sin == packed.sin)
    #expect(plain.cos.shape == [4, 2])
  }
}
