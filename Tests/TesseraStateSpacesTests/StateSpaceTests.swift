import Fixtures
import Foundation
import TesseraCore
import TesseraStateSpaces
import Testing

@Suite struct StateSpaceTests {
  private func error(_ body: () throws(TesseraError) -> Void) throws -> TesseraError {
    try #require(#expect(throws: TesseraError.self, performing: body))
  }

  @Test(arguments: HippoMeasure.allCases)
  func `every measure makes a file that passes its own check`(measure: HippoMeasure) throws {
    let system = try HippoSystem(measure, order: measure.rawValue.hasPrefix("fourier") ? 7 : 8)
    let file = try StateSpaceFile(system)
    #expect(try file.hippo() == system)
    let check = try StateSpaceCheck(file, structure: try file.structure())
    #expect(check.ok, "\(check.failures)")
    #expect(check.measure == measure.rawValue)
  }

  @Test func `a form that a measure does not have is refused with the reason`() throws {
    for measure in HippoMeasure.allCases {
      for form in HippoForm.allCases where !measure.forms.contains(form) {
        let order = measure.rawValue.hasPrefix("fourier") ? 5 : 4
        let error = try error { () throws(TesseraError) in
          _ = try HippoSystem(measure, order: order, form: form)
        }
        #expect(error.kind == .mismatch)
        #expect(error.cause.contains("no form '\(form.rawValue)'"))
      }
    }
  }

  @Test(arguments: [0, -1, 4097])
  func `an order beyond its limits is a numeric limit`(order: Int) throws {
    let error = try error { () throws(TesseraError) in
      _ = try HippoSystem(.legs, order: order)
    }
    #expect(error.kind == .numericLimit && error.cause.contains("\(order)"))
  }

  @Test func `the exact step keeps its rational values to the last bit`() throws {
    // K = 1, N = 3 in integer form, by hand: rho = 1/2.
    let file = try LegsStep(1, first: 1).file(
      of: HippoSystem(.legs, order: 3, form: .integer),
      by: .convention(.optimal)
    )
    #expect(
      file.arrays["A_bar"]?.values == [0.5, 0, 0, -0.75, 0.25, 0, 0, -0.625, 0.125]
    )
    #expect(file.arrays["B_bar"]?.values == [0.5, 0.75, 0])
  }

  @Test func `forward Euler is refused beyond its bound, and only there`() throws {
    let file = try StateSpaceFile(HippoSystem(.legs, order: 10))
    for (step, isStable) in [(0.199, true), (0.201, false)] {
      let result = Result { () throws(TesseraError) in
        try file.discretized(by: .forward, steps: .one(step), structure: .dense)
      }
      switch result {
      case .success(let file):
        #expect(isStable)
        let check = try StateSpaceCheck(file, structure: .dense)
        #expect((check.spectralRadius ?? 2) <= 1)
      case .failure(let error):
        #expect(!isStable && error.kind == .numericLimit)
        #expect(error.cause.contains("up to dt 0.2"))
      }
    }
  }

  @Test(arguments: ["safetensors", "npz", "h5"])
  func `a file is what it was after writing and reading`(ending: String) throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/a.\(ending)"
    let file = try StateSpaceFile(HippoSystem(.fout, order: 6, window: 2))
    try file.write(to: path, as: .float64, reading: [])
    let read = try StateSpaceFile(path: path)
    #expect(read.arrays == file.arrays)
    #expect(try read.hippo() == file.hippo())
    #expect(try read.structure() == .dense)
  }

  @Test func `a file without metadata needs a word from the user`() throws {
    var file = try StateSpaceFile(HippoSystem(.lagt, order: 3))
    file.metadata = [:]
    #expect(try error { () throws(TesseraError) in _ = try file.structure() }.kind == .mismatch)
    #expect(try file.structure(named: .dense) == .dense)
  }

  @Test func `states do not depend on how the signal is cut`() throws {
    let signal = (0..<999).map { Double(($0 * 7919) % 1000) / 500 - 1 }
    let steppings: [(HippoMeasure, SignalEncoder.Stepping)] = [
      (.legs, .varying(.convention(.optimal))), (.legs, .varying(.convention(.hippoPython))),
      (.legs, .varying(.weighted(.backward))),
      (.legt, .constant(.bilinear, step: 0.01)), (.fout, .constant(.backward, step: 0.01)),
      (.lagt, .constant(.zeroOrderHold, step: 0.1)), (.s4dLinear, .constant(.bilinear, step: 0.1)),
    ]
    for (measure, stepping) in steppings {
      let system = try HippoSystem(measure, order: 12)
      let whole = try SignalEncoder(system, stepping: stepping, channels: 1).encode(
        signal,
        every: 10
      )
      let encoder = try SignalEncoder(system, stepping: stepping, channels: 1)
      var pieces: [Double] = []
      for start in stride(from: 0, to: signal.count, by: 37) {
        pieces += try encoder.encode(
          Array(signal[start..<min(signal.count, start + 37)]),
          every: 10
        )
      }
      #expect(pieces == whole)
      #expect(whole.count == 99 * 12)
    }
  }
}
